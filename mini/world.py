"""Rendered clips of shaded solids on a ground under a sky: the small world that the mini cascade learns.

A `Scene` says what is to be seen in units of the frame height, so one scene renders to the same picture at every
size of the cascade (32x20, 128x80, 256x160). Everything follows from a NumPy generator: same seed, same clips.
What the words are, and which of them go together, is in `grammar.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grammar import Kind, Other, kinds

FRAMES = 29
KEYFRAMES = 8

RGB: dict[str, tuple[float, float, float]] = {
    "red": (0.93, 0.10, 0.10),
    "orange": (1.00, 0.50, 0.06),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.12, 0.75, 0.20),
    "cyan": (0.10, 0.85, 0.90),
    "blue": (0.12, 0.25, 0.95),
    "purple": (0.58, 0.15, 0.90),
    "pink": (1.00, 0.40, 0.72),
}


@dataclass(frozen=True)
class Place:
    """Colours of the sky at its top and at the horizon, and of the ground at the horizon and at its bottom.

    A plain place has the same colour everywhere, and so no horizon.
    """

    top: tuple[float, float, float]
    horizon: tuple[float, float, float]
    far: tuple[float, float, float]
    near: tuple[float, float, float]


def plain(level: float) -> Place:
    """One grey everywhere."""
    grey = (level, level, level)
    return Place(grey, grey, grey, grey)


PLACES: dict[str, Place] = {
    "black": plain(0.05),
    "gray": plain(0.45),
    "white": plain(0.93),
    "day": Place((0.36, 0.62, 0.92), (0.84, 0.93, 0.98), (0.66, 0.74, 0.54), (0.50, 0.62, 0.38)),
    "sunset": Place((0.34, 0.24, 0.46), (1.00, 0.74, 0.52), (0.42, 0.29, 0.30), (0.26, 0.18, 0.22)),
    "night": Place((0.02, 0.03, 0.12), (0.14, 0.18, 0.38), (0.10, 0.12, 0.20), (0.05, 0.06, 0.11)),
}
HORIZON = 0.06

# Ranges in frame heights; the frame is 1 high and its width/height wide, the origin in the middle, y down.
# Every clip begins near the middle at a medium size and goes where its caption says. So the words of a motion go with
# places and sizes frame by frame and also on average; were the paths centred, only word, place and frame number
# together would, and a small model takes very long to find such a threefold relation.
RADIUS = (0.19, 0.23)
START_X, END_X = (0.02, 0.12), (0.44, 0.52)  # against, and along, the direction of motion
LARGE, SMALL = (0.36, 0.40), (0.08, 0.10)
RISE, FALL = (0.30, 0.34), (0.25, 0.29)
HOP = (0.30, 0.36)
ORBIT_X, ORBIT_Y, ORBIT_DEPTH = (0.36, 0.42), (0.11, 0.14), 0.4
PAIR_RADIUS = (0.15, 0.18)
PAIR_X, PAIR_UP, PAIR_DOWN = (0.36, 0.42), (-0.26, -0.22), (0.18, 0.22)
GROUND = 0.38  # where the shadow of what hangs above another solid falls
COLOUR_JITTER = 0.03
HOPS = 2  # in a clip

LIGHT = np.array([-0.50, -0.62, 0.60], np.float32) / np.float32(np.sqrt(0.5**2 + 0.62**2 + 0.6**2))
AMBIENT, DIFFUSE, GLOSS = 0.40, 0.62, 0.55
SHADOW = 0.55


@dataclass(frozen=True)
class Solid:
    """One solid on its way: (x, y, radius, floor) at the first and the last frame; floor is where its shadow falls.

    hop: height of its jumps; orbit: half axes of its round.
    """

    name: str
    rgb: tuple[float, float, float]
    begin: tuple[float, float, float, float]
    end: tuple[float, float, float, float]
    hop: float = 0.0
    orbit: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    """A kind, and the accidents that a caption does not tell."""

    kind: Kind
    solids: tuple[Solid, ...]


def _rgb(rng: np.random.Generator, colour: str) -> tuple[float, float, float]:
    """A colour as it comes out this time."""
    red, green, blue = np.clip(np.array(RGB[colour]) + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER, 3), 0.0, 1.0)
    return float(red), float(green), float(blue)


def _sideways(rng: np.random.Generator, kind: Kind, radius: float, y: float) -> Solid:
    sign = 1.0 if kind.motion == "moving right" else -1.0
    first, last = -sign * rng.uniform(*START_X), sign * rng.uniform(*END_X)
    floor = y + radius if y > PAIR_UP[1] else GROUND
    return Solid(kind.solid, _rgb(rng, kind.colour), (first, y, radius, floor), (last, y, radius, floor))


def _upright(rng: np.random.Generator, kind: Kind, radius: float, x: float) -> Solid:
    """Up, down, or up and down again, above a shadow that stays where it is."""
    rgb = _rgb(rng, kind.colour)
    if kind.motion == "moving up":
        y = rng.uniform(0.05, 0.10)
        return Solid(kind.solid, rgb, (x, y, radius, y + radius), (x, y - rng.uniform(*RISE), radius, y + radius))
    if kind.motion == "moving down":
        y = rng.uniform(-0.09, -0.05)
        last = y + rng.uniform(*FALL)
        return Solid(kind.solid, rgb, (x, y, radius, last + radius), (x, last, radius, last + radius))
    y = rng.uniform(0.16, 0.20)
    pose = (x, y, radius, y + radius)
    return Solid(kind.solid, rgb, pose, pose, hop=rng.uniform(*HOP))


def _resized(rng: np.random.Generator, kind: Kind, radius: float) -> Solid:
    """Nearer or farther: what comes near stands lower, what goes away stands closer to the horizon."""
    x = rng.uniform(-0.2, 0.2)
    last = rng.uniform(*(LARGE if kind.motion == "growing" else SMALL))
    y = rng.uniform(0.0, 0.04)
    return Solid(kind.solid, _rgb(rng, kind.colour), (x, y, radius, y + radius), (x, 0.03, last, 0.03 + last))


def _round(rng: np.random.Generator, kind: Kind, radius: float) -> Solid:
    """Once around on the ground, from the front to the right."""
    x, y = rng.uniform(-0.06, 0.06), rng.uniform(0.13, 0.17)
    pose = (x, y, radius, y + radius)
    orbit = (rng.uniform(*ORBIT_X), rng.uniform(*ORBIT_Y))
    return Solid(kind.solid, _rgb(rng, kind.colour), pose, pose, orbit=orbit)


def _single(rng: np.random.Generator, kind: Kind) -> Solid:
    radius = rng.uniform(*RADIUS)
    if kind.motion in ("moving left", "moving right"):
        return _sideways(rng, kind, radius, rng.uniform(-0.02, 0.10))
    if kind.motion in ("growing", "shrinking"):
        return _resized(rng, kind, radius)
    if kind.motion == "circling":
        return _round(rng, kind, radius)
    return _upright(rng, kind, radius, rng.uniform(-0.2, 0.2))


def _pair(rng: np.random.Generator, kind: Kind, other: Other) -> tuple[Solid, Solid]:
    """A moving solid and one at rest: above and below each other, or side by side."""
    radius, still = rng.uniform(*PAIR_RADIUS), rng.uniform(*PAIR_RADIUS)
    if other.relation in ("above", "below"):
        high, low = rng.uniform(*PAIR_UP), rng.uniform(*PAIR_DOWN)
        y, rest = (high, low) if other.relation == "above" else (low, high)
        first, x = _sideways(rng, kind, radius, y), rng.uniform(-0.1, 0.1)
    else:
        side = -1.0 if other.relation == "left of" else 1.0
        first, x, rest = _upright(rng, kind, radius, side * rng.uniform(*PAIR_X)), -side * rng.uniform(*PAIR_X), 0.12
    pose = (x, rest, still, rest + still if rest > PAIR_UP[1] else GROUND)
    return first, Solid(other.solid, _rgb(rng, other.colour), pose, pose)


def scene_of(rng: np.random.Generator, kind: Kind) -> Scene:
    """A scene of this kind with accidents drawn from `rng`."""
    return Scene(kind, (_single(rng, kind),) if kind.other is None else _pair(rng, kind, kind.other))


def draw(rng: np.random.Generator, count: int, held_out: bool = False, pairs: float = 0.0) -> tuple[Scene, ...]:
    """`count` scenes of the training kinds, or of the held-out ones; about a share `pairs` of them with two solids."""
    pool = kinds(held_out)
    chosen = [pool[index] for index in rng.integers(len(pool), size=count)]
    return tuple(scene_of(rng, kind.beside(rng) if rng.uniform() < pairs else kind) for kind in chosen)


def keyframe_times() -> np.ndarray:
    """(8,) times in [0, 1] of every fourth of the 29 frames."""
    return np.linspace(0.0, 1.0, KEYFRAMES)


def frame_times() -> np.ndarray:
    """(29,) times in [0, 1] of all frames."""
    return np.linspace(0.0, 1.0, FRAMES)

