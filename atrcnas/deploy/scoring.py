"""What an exported file scores, and the images that it is calibrated on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrcnas.data.loading import open_source, validation_loader
from atrcnas.data.resizing import resize_image
from atrcnas.deploy.predictor import Predictor
from atrcnas.deploy.progress import shown
from atrcnas.engine.scores import Figures, Scores
from atrcnas.engine.splits import open_splits
from atrcnas.spec.experiment import Experiment

NUM_CALIBRATION = 32


def score(predictor: Predictor, experiment: Experiment) -> Figures:
    """Score on the whole validation split as one who only has the file would: resized to its size, and back.

    Returns:
        Task -> figure -> value; each image counts at its own size.

    Raises:
        DataError: the data are not there any more, or at fault.
    """
    # Padding is known to the network as a mask; the file has no such input.
    experiment = experiment.replace(data={"pad_to": None})
    source = open_source(experiment, "val")
    scores = Scores(experiment.predicted_tasks(), torch.device("cpu"), alone=True)
    for batch in shown(validation_loader(experiment, source, 1), "scoring", len(source)):
        image = np.ascontiguousarray(batch.image[0].permute(1, 2, 0).numpy())
        scores.update(predictor.raw(image), batch)
    return scores.compute()


def calibration_images(experiment: Experiment, size: tuple[int, int]) -> Tensor:
    """Some images that the weights were trained on, unaugmented: [N, 3, *size] float RGB in [0, 1], N at most 32.

    Raises:
        DataError: the data are not there any more, or at fault.
    """
    splits = open_splits(experiment)
    images = [resize_image(splits.train[index].image, size) for index in splits.weights[:NUM_CALIBRATION]]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
