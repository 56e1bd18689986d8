"""People made of parts, posed on the anchors that furniture offers.

The body's frame is a compound's: it faces -y, z is up, x its left-right axis. Proportions are shares of the height.
"""

import math
from typing import NamedTuple

import numpy as np

from atrcnas.data.rooms.classes import HumanPart, Semseg
from atrcnas.data.rooms.parts import Compound, Material, Vector
from atrcnas.data.rooms.style import fabric, hsv, shade


class Clothes(NamedTuple):
    """Materials of one person; ``lower_arm`` is skin under short sleeves."""

    skin: Material
    hair: Material
    top: Material
    lower_arm: Material
    legs: Material
    lower_leg: Material
    shoes: Material


class Pose(NamedTuple):
    """Angles in radians; a limb's angle is measured from hanging down, positive to the front."""

    hip_height: float
    lean: float
    thighs: tuple[float, float]
    shins: tuple[float, float]
    upper_arms: tuple[float, float]
    lower_arms: tuple[float, float]


def _clothes(rng: np.random.Generator) -> Clothes:
    tone = rng.uniform(0.35, 0.95)
    skin = Material(hsv(rng.uniform(0.04, 0.08), 0.65 - 0.35 * tone, tone), grain=0.04)
    hair = Material(hsv(0.08, rng.uniform(0.2, 0.6), rng.choice([0.12, 0.2, 0.3, 0.6])), grain=0.3)
    trousers = Material(hsv(rng.choice([0.6, 0.1, 0.62]), rng.uniform(0.1, 0.6), rng.uniform(0.15, 0.6)), grain=0.2)
    top = fabric(rng)
    sleeve = skin if rng.random() < 0.5 else top
    return Clothes(
        skin, hair, top, sleeve, trousers, skin if rng.random() < 0.15 else trousers, Material(hsv(0.1, 0.3, 0.2))
    )


def _standing(rng: np.random.Generator, height: float, reaching: bool) -> Pose:
    stride = rng.uniform(0.0, 0.08) if reaching else rng.uniform(-0.4, 0.4)
    arms = rng.uniform(0.4, 0.9, 2) if reaching else np.array([-stride, stride]) * 0.8
    bend = rng.uniform(0.5, 0.9, 2) if reaching else rng.uniform(0.05, 0.5, 2)
    hip = 0.515 * math.cos(abs(stride) * 0.8) * height
    return Pose(hip, -0.02, (stride, -stride), (stride - 0.08, -stride - 0.12), tuple(arms), tuple(arms + bend))


def _sitting(rng: np.random.Generator, height: float, seat: float) -> Pose:
    arms = rng.uniform(0.1, 0.7, 2)
    thighs = (1.5 + rng.uniform(-0.08, 0.05), 1.5 + rng.uniform(-0.08, 0.05))
    shins = (rng.uniform(-0.2, 0.25), rng.uniform(-0.2, 0.25))
    return Pose(
        seat + 0.055 * height,
        rng.uniform(-0.1, 0.12),
        thighs,
        shins,
        tuple(arms),
        tuple(arms + rng.uniform(0.5, 1.2, 2)),
    )


def _lying(rng: np.random.Generator, height: float) -> Pose:
    knee = rng.uniform(0.0, 0.5) if rng.random() < 0.4 else 0.05
    arms = rng.uniform(-0.02, 0.15, 2)
    return Pose(0.515 * height, 0.0, (knee, 0.04), (-knee, 0.0), tuple(arms), tuple(arms + rng.uniform(0.0, 0.9, 2)))


def _swing(start: Vector, length: float, angle: float, outwards: float = 0.0) -> Vector:
    return start[0] + outwards, start[1] - length * math.sin(angle), start[2] - length * math.cos(angle)


def _limbs(body: "_Body", height: float, pose: Pose, shoulders: Vector, look: Clothes) -> None:
    for index, side in enumerate((-1, 1)):
        hip = (side * 0.05 * height, 0.0, pose.hip_height)
        knee = _swing(hip, 0.245 * height, pose.thighs[index], side * 0.012 * height)
        ankle = _swing(knee, 0.235 * height, pose.shins[index])
        toe = _swing(ankle, 0.09 * height, pose.shins[index] + math.pi / 2)
        body.limb(hip, knee, 0.043 * height, look.legs, HumanPart.UPPER_LEG)
        body.limb(knee, ankle, 0.03 * height, look.lower_leg, HumanPart.LOWER_LEG)
        body.limb(ankle, toe, 0.023 * height, look.shoes, HumanPart.LOWER_LEG)
        shoulder = (side * 0.105 * height, shoulders[1], shoulders[2])
        elbow = _swing(shoulder, 0.165 * height, pose.upper_arms[index], side * 0.025 * height)
        hand = _swing(elbow, 0.17 * height, pose.lower_arms[index], -side * 0.02 * height)
        tip = _swing(hand, 0.04 * height, pose.lower_arms[index])
        body.limb(shoulder, elbow, 0.027 * height, look.top, HumanPart.UPPER_ARM)
        body.limb(elbow, hand, 0.021 * height, look.lower_arm, HumanPart.LOWER_ARM)
        body.limb(hand, tip, 0.024 * height, look.skin, HumanPart.LOWER_ARM)


class _Body:
    """Adds parts to a person; a lying one is the standing one turned onto its back."""

    def __init__(self, person: Compound, lying: bool, height: float) -> None:
        self.person, self.lying, self.height = person, lying, height

    def _turned(self, point: Vector) -> Vector:
        if not self.lying:
            return point
        return point[0], point[2] - self.height / 2, 0.06 * self.height - point[1]

    def limb(
        self, start: Vector, end: Vector, radius: float, look: Material, part: HumanPart, wide: float = 1.0
    ) -> None:
        self.person.capsule(self._turned(start), self._turned(end), (radius * wide, radius), look, part)

    def ball(self, centre: Vector, half: Vector, look: Material, part: HumanPart) -> None:
        if self.lying:
            half = (half[0], half[2], half[1])
        self.person.ellipsoid(self._turned(centre), half, look, part)


def person(rng: np.random.Generator, pose_name: str, support: float) -> Compound:
    """Draw a person with the feet, the seat or the back at the origin's height.

    Args:
        rng: source of build, clothes and pose.
        pose_name: stand (reaching for what is in front), walk, sit or lie.
        support: height in metres of the seat above the floor; read when sitting.
    """
    height = rng.uniform(1.52, 1.92)
    look = _clothes(rng)
    poses = {
        "stand": lambda: _standing(rng, height, True),
        "walk": lambda: _standing(rng, height, False),
        "sit": lambda: _sitting(rng, height, support),
        "lie": lambda: _lying(rng, height),
    }
    pose = poses[pose_name]()
    item = Compound(Semseg.PERSON, (0.5, 0.5, height))
    body = _Body(item, pose_name == "lie", height)
    base = (0.0, 0.0, pose.hip_height)
    chest = _swing(base, -0.24 * height, pose.lean)
    shoulders = _swing(base, -0.29 * height, pose.lean)
    neck = _swing(base, -0.33 * height, pose.lean)
    head = _swing(base, -0.405 * height, pose.lean)
    body.limb(base, _swing(base, -0.06 * height, pose.lean), 0.058 * height, look.legs, HumanPart.TORSO, 1.45)
    body.limb(_swing(base, -0.1 * height, pose.lean), chest, 0.06 * height, look.top, HumanPart.TORSO, 1.5)
    body.limb(chest, neck, 0.03 * height, look.skin, HumanPart.HEAD)
    body.ball(head, (0.045 * height, 0.054 * height, 0.066 * height), look.skin, HumanPart.HEAD)
    crown = (0.0, head[1] + 0.012 * height, head[2] + 0.018 * height)
    long_hair = 1.35 if rng.random() < 0.4 else 1.0
    body.ball(crown, (0.05 * height, 0.052 * height, 0.06 * height * long_hair), look.hair, HumanPart.HEAD)
    _limbs(body, height, pose, shoulders, look)
    # A cloth a shade darker over the hip joins the legs to the body.
    body.ball(
        base,
        (0.08 * height, 0.058 * height, 0.05 * height),
        look.legs._replace(colour=shade(look.legs.colour, 0.9)),
        HumanPart.TORSO,
    )
    return item
