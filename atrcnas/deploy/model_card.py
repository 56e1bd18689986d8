"""The model card of a saved network: README.md, which the Hub shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from atrcnas.deploy.hub import HEATMAP
from atrcnas.deploy.pretrained import Config, Origin
from atrcnas.ground.files import dump_yaml
from atrcnas.nn.net import MultiTaskNet
from atrcnas.spec.branches import Branches
from atrcnas.spec.tasks import Task

_ALL_CLASSES = 60


def card_text(net: MultiTaskNet) -> str:
    """Markdown with the Hub's header: tasks, scores, contexts, costs, recipe, use, licence."""
    config = Config.of(net)
    origin = config.origin
    header = {"library_name": "atrcnas", "tags": ["computer-vision", "multi-task-learning", *config.tasks]}
    if origin and origin.licence:
        header["license"] = origin.licence
    title = origin.experiment if origin else " and ".join(config.tasks)
    parts = [
        f"---\n{dump_yaml(header)}---\n\n# {title}",
        f"A dense multi-task network of atrcnas {config.version}: one image in, one "
        f"map per task out. Backbone `{config.backbone.name}`{_tree(config)}.",
        "## Tasks\n\n" + _table(("task", "predicts", "classes"), (_task_row(task) for task in config.tasks.values())),
        *(_scores(config, origin) if origin else ()),
        *_contexts(config),
        _USE,
        *(_recipe(origin) if origin else ()),
        "## Licence\n\n"
        + (
            f"Weights: {origin.licence}." if origin and origin.licence else "Of the weights: not given by their author."
        ),
    ]
    return "\n\n".join(parts) + "\n"


_USE = """## Use

```sh
atrcnas predict FOLDER_OR_HUB_ID photo.jpg --out predicted
```

```python
from atrcnas import MultiTaskNet, Predictor

predictor = Predictor.from_pretrained("FOLDER_OR_HUB_ID")  # [H, W, 3] uint8 RGB in, decoded maps out
net = MultiTaskNet.from_pretrained("FOLDER_OR_HUB_ID")  # the torch module, in evaluation mode
```

Images are RGB; the network itself normalises them. Nothing in this folder is executed: it holds safetensors and JSON."""


def _tree(config: Config) -> str:
    tree = Branches.of(config.model.branches, [*config.tasks, *config.auxiliary_tasks])
    return "" if tree.together else f", where tasks part (`{tree.key}`)"


def _task_row(task: Task) -> Sequence[str]:
    names = ", ".join(f"{number} {name}" for number, name in enumerate(task.class_names[:_ALL_CLASSES]))
    more = ", ..." if len(task.class_names) > _ALL_CLASSES else ""
    return task.name, task.description, names + more or str(task.label_channels if task.target == "classes" else "-")


def _scores(config: Config, origin: Origin) -> list[str]:
    rows = [
        (name, figure, "not defined" if value is None else f"{value:.4f}", _unit(config.tasks[name], figure))
        for name, figures in origin.scores.items()
        if name in config.tasks
        for figure, value in figures.items()
    ]
    size = "at their own size" if origin.size is None else f"resized to {origin.size[0]} x {origin.size[1]}"
    costs = f"{origin.parameters / 1e6:.2f} M parameters, {origin.multiply_adds / 1e9:.2f} G multiply-adds."
    text = f"## Scores\n\nOn the validation split of the data set '{origin.data}', images {size}. {costs}"
    return [text, _table(("task", "figure", "value", "unit and direction"), rows)]


def _unit(task: Task, figure: str) -> str:
    if figure != task.score:
        return ""
    return f"{task.unit}, {'higher' if task.higher_is_better else 'lower'} is better".removeprefix(", ")


def _contexts(config: Config) -> list[str]:
    if not config.contexts:
        return []
    text = "## Contexts\n\nWhat each task (row) draws from the features of each other (column); `contexts.yaml` has the same."
    return [text, f"![Kind of context of each pair]({HEATMAP})"]


def _recipe(origin: Origin) -> list[str]:
    return ["## Recipe", f"```yaml\n{dump_yaml(origin.recipe)}```"]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [
        head,
        ["---"] * len(head),
        *([cell.replace("|", r"\|").replace("\n", " ") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
