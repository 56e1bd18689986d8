"""LabelMap of PASCAL-Context, 459 classes of whole scenes: where distilled normals count, and where boundaries are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrcnas.data.matlab import read_variable
from atrcnas.ground.errors import DataError
from atrcnas.ground.thinning import thin_levels

Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# The normals were distilled from a network trained on NYUD, so they count on classes that both data sets know by the
# same name, and on tvmonitor (NYUD's television). From the class lists of PASCAL-Context and of NYUD's 894 classes.
_SHARED_WITH_NYUD = (
    "3:air_conditioner 4:antenna 6:ashtray 9:bag 10:ball 11:balloon 13:barrel 15:basket 17:bathtub 18:bed 22:bench "
    "23:bicycle 29:blackboard 30:board 33:book 34:bottle 36:bowl 37:box 38:bracelet 39:brick 41:broom 43:bucket "
    "46:cabinet 49:cake 50:calculator 51:calendar 53:camera 55:can 56:candle 59:car 61:cart 62:case 65:cat 66:cd "
    "68:ceiling 69:cell_phone 72:chair 73:chessboard 78:clock 83:coffee_machine 84:comb 85:computer 87:cone "
    "88:container 95:corkscrew 96:counter 101:crate 104:cup 105:curtain 107:cutting_board 111:dishwasher 113:dog "
    "115:door 122:drum 124:duck 135:envelope 141:fan 142:faucet 143:fax_machine 146:fire_extinguisher 150:fish_tank "
    "154:flag 157:flashlight 158:floor 159:flower 165:fork 172:fruit 174:furnace 181:glass 183:globe 184:glove "
    "191:guitar 193:hammer 195:handle 197:hanger 199:hat 202:heater 213:ipod 215:ironing_board 216:jar 219:key "
    "220:keyboard 223:knife 225:ladder 228:laptop 230:lid 232:light 233:light_bulb 238:lock 239:machine 242:map "
    "243:mask 246:mattress 250:microphone 251:microwave 252:mirror 255:money 260:mouse 261:mouse_pad 263:napkin "
    "269:oven 272:pan 273:paper 275:paper_cutter 281:pen 283:pencil 284:person 285:photo 286:piano 287:picture "
    "288:pig 290:pillow 291:pipe 292:pitcher 293:plant 295:plate 304:pool_table 307:pot 309:printer 310:projector "
    "314:radiator 315:radio 319:range_hood 323:remote_control 329:rope 330:rug 331:ruler 336:scale 342:sculpture "
    "345:sewing_machine 349:shelves 350:shoe 351:shopping_cart 352:shovel 355:sign 357:sink 368:sofa 370:spatula "
    "371:speaker 374:spoon 379:stapler 380:stick 383:stool 384:stove 397:table 401:tape 403:telephone 405:tent "
    "407:toaster 408:toilet 411:toothbrush 412:towel 413:toy 414:toy_car 417:trampoline 419:tray 421:tricycle "
    "423:trophy 427:tvmonitor 429:typewriter 430:umbrella 432:vacuum_cleaner 440:wall 441:wallet 442:wardrobe "
    "443:washing_machine 444:watch 446:water_dispenser 454:window 457:wire "
)
NORMALS_CLASSES: dict[str, int] = {
    name: int(number) for number, name in (entry.split(":") for entry in _SHARED_WITH_NYUD.split())
}
UNKNOWN = 431
_NUM_CLASSES = 459


def read_label_map(path: Path) -> Labels:
    """Read the class of every pixel.

    Args:
        path: .mat with the matrix ``LabelMap``.

    Returns:
        [H, W] int64 in [0, 459]; 1..459 are the classes in alphabetical order, 0 is unlabelled.

    Raises:
        DataError: damaged, or not such a matrix.
    """
    raw = read_variable(path, "LabelMap")
    if raw.ndim != 2 or raw.dtype.kind not in "bui" or not raw.size or raw.min() < 0 or raw.max() > _NUM_CLASSES:
        raise DataError(
            f"{path}: expected LabelMap [H, W] of classes 0..{_NUM_CLASSES}, got {list(raw.shape)} {raw.dtype}"
            f"{_span(raw)}. Replace the file with the published one."
        )
    return raw.astype(np.int64)


def has_normals(labels: Labels) -> Mask:
    """Where distilled normals count as ground truth: [H, W] bool of a label map [H, W]."""
    counted = np.zeros(_NUM_CLASSES + 1, np.bool_)
    counted[list(NORMALS_CLASSES.values())] = True
    return counted[labels]


def boundaries(labels: Labels) -> Mask:
    """Boundaries between classes, one pixel wide.

    Args:
        labels: [H, W] int64, a label map.

    Returns:
        [H, W] bool: where the discrete Laplacian (4 neighbours, mirrored at the border) of the class numbers is not
        zero, thinned.

    Source: the published ground truth. Class numbers are not quantities, so that where they cancel (3, 4, 5 in a row) the
    boundary has a gap; kept, since published scores are against these boundaries.
    """
    padded = np.pad(labels, 1, mode="reflect")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    thinned: Mask = thin_levels((around != 4 * labels).astype(np.int64), 1)[0] > 0
    return thinned


def _span(raw: npt.NDArray[Any]) -> str:
    return f" from {raw.min():g} to {raw.max():g}" if raw.size and raw.dtype.kind in "buif" else ""
