"""Rendered clips of one moving shape with captions: the data the mini cascade learns from.

A `Scene` says what is to be seen in units of the frame height, so one scene renders to the same picture at every
size of the cascade (16x24, 64x96, 128x192). Everything follows from a NumPy generator: same seed, same clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

FRAMES = 29
KEYFRAMES = 8

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.95, 0.08, 0.08),
    "green": (0.08, 0.80, 0.15),
    "blue": (0.10, 0.20, 0.95),
    "yellow": (0.95, 0.90, 0.08),
    "purple": (0.80, 0.10, 0.90),
    "cyan": (0.08, 0.85, 0.90),
}
SHAPES = ("circle", "square", "triangle")
MOTIONS = ("moving left", "moving right", "moving up", "moving down", "growing", "shrinking")
BACKGROUNDS: dict[str, float] = {"black": 0.05, "gray": 0.45, "white": 0.93}
DEFAULT_BACKGROUND = "black"

PLAIN = "a {colour} {shape} {motion}"
STATED = "a {colour} {shape} {motion} on a {background} background"

# Ranges in frame heights; the frame is 1 high and its width/height wide, the origin in the middle, y down.
# Every clip begins near the middle at a medium size and goes where its caption says. So the words of a motion go with
# places and sizes frame by frame and also on average; were the paths centred, only word, place and frame number
# together would, and a small model takes very long to find such a threefold relation.
RADIUS = (0.18, 0.22)
START_X, END_X = (0.02, 0.12), (0.44, 0.52)  # against, and along, the direction of motion
START_Y, END_Y = (0.02, 0.08), (0.28, 0.32)
SMALL, LARGE = (0.08, 0.10), (0.36, 0.40)
COLOUR_JITTER = 0.04


@dataclass(frozen=True)
class Kind:
    """What a caption tells of a scene."""

    colour: str
    shape: str
    motion: str
    background: str = DEFAULT_BACKGROUND

    @property
    def caption(self) -> str:
        """The shortest caption that says everything: a black background goes without saying."""
        template = PLAIN if self.background == DEFAULT_BACKGROUND else STATED
        return template.format(**vars(self))


@dataclass(frozen=True)
class Scene:
    """A kind, and the accidents a caption does not tell: (x, y, radius) at the first and the last frame, in heights."""

    kind: Kind
    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    rgb: tuple[float, float, float]


def is_held_out(kind: Kind) -> bool:
    """Whether training never sees this colour-shape-motion combination: one in nine, each word of it seen elsewhere."""
    colour = tuple(COLOURS).index(kind.colour)
    shape = SHAPES.index(kind.shape)
    motion = MOTIONS.index(kind.motion)
    return (colour + 2 * shape + 4 * motion) % 9 == 0


def kinds(held_out: bool) -> tuple[Kind, ...]:
    """All kinds of the training set, or all kinds kept from it, in a fixed order."""
    everything = (Kind(*words) for words in product(COLOURS, SHAPES, MOTIONS, BACKGROUNDS))
    return tuple(kind for kind in everything if is_held_out(kind) == held_out)


def _path(rng: np.random.Generator, motion: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """(x, y, radius) at the first and the last frame of one motion."""
    radius = rng.uniform(*RADIUS)
    if motion in ("moving left", "moving right"):
        sign, y = (1.0 if motion == "moving right" else -1.0), rng.uniform(-0.12, 0.12)
        return (-sign * rng.uniform(*START_X), y, radius), (sign * rng.uniform(*END_X), y, radius)
    if motion in ("moving up", "moving down"):
        sign, x = (1.0 if motion == "moving down" else -1.0), rng.uniform(-0.2, 0.2)
        return (x, -sign * rng.uniform(*START_Y), radius), (x, sign * rng.uniform(*END_Y), radius)
    x, y = rng.uniform(-0.2, 0.2), rng.uniform(-0.08, 0.08)
    last = rng.uniform(*(LARGE if motion == "growing" else SMALL))
    return (x, y, radius), (x, y, last)


def scene_of(rng: np.random.Generator, kind: Kind) -> Scene:
    """A scene of this kind with accidents drawn from `rng`."""
    begin, end = _path(rng, kind.motion)
    rgb = np.clip(np.array(COLOURS[kind.colour]) + rng.uniform(-COLOUR_JITTER, COLOUR_JITTER, 3), 0.0, 1.0)
    return Scene(kind, begin, end, (float(rgb[0]), float(rgb[1]), float(rgb[2])))


def draw(rng: np.random.Generator, count: int, held_out: bool = False) -> tuple[Scene, ...]:
    """`count` scenes of the training kinds (or of the held-out ones); half of them on the default background."""
    pool = kinds(held_out)
    plain = tuple(kind for kind in pool if kind.background == DEFAULT_BACKGROUND)
    chosen = (plain if rng.uniform() < 0.5 else pool for _ in range(count))
    return tuple(scene_of(rng, some[rng.integers(len(some))]) for some in chosen)


def caption(rng: np.random.Generator, kind: Kind) -> str:
    """A caption of this kind: the background is always named unless it is the default, which is named sometimes."""
    if kind.background == DEFAULT_BACKGROUND and rng.uniform() < 0.3:
        return STATED.format(**vars(kind))
    return kind.caption


def judged_prompts(count: int, held_out: bool = False, seed: int = 11) -> list[str]:
    """Prompts to judge a model by, spread over the training kinds or over the held-out ones."""
    pool = kinds(held_out)
    order = np.random.default_rng(seed).permutation(len(pool))
    return [pool[index].caption for index in order[:count]]


def keyframe_times() -> np.ndarray:
    """(8,) times in [0, 1] of every fourth of the 29 frames."""
    return np.linspace(0.0, 1.0, KEYFRAMES)


def frame_times() -> np.ndarray:
    """(29,) times in [0, 1] of all frames."""
    return np.linspace(0.0, 1.0, FRAMES)


def _distance(shape: np.ndarray, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed distance to the outline, negative inside, of shapes of about equal area.

    shape (N,1,1,1) indexes `SHAPES`; x, y (N,T,H,W) from the centre; radius (N,T,1,1).
    """
    circle = np.hypot(x, y) - radius
    square = np.maximum(np.abs(x), np.abs(y)) - 0.9 * radius
    # An equilateral triangle, tip up: three half planes at the inradius, half of its circumradius 1.3 r.
    triangle = np.maximum(y, 0.8660254 * np.abs(x) - 0.5 * y) - 0.65 * radius
    return np.select([shape == 0, shape == 1], [circle, square], triangle)


def render(scenes: Sequence[Scene], times: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames of the scenes at `times` ((T,) or, a row for each scene, (N,T), in [0, 1]): float32 (N,T,H,W,3) in [0, 1].

    Coverage of a pixel is taken from the distance of its centre to the outline, clipped to one pixel: smooth edges
    at every size.
    """
    height, width = size
    moment = np.broadcast_to(np.atleast_2d(times), (len(scenes), np.shape(times)[-1])).astype(np.float32)
    begin = np.array([scene.begin for scene in scenes], np.float32)[:, None]  # (N,1,3)
    end = np.array([scene.end for scene in scenes], np.float32)[:, None]
    pose = begin + moment[:, :, None] * (end - begin)  # (N,T,3)
    x0, y0, radius = (pose[:, :, k, None, None] for k in range(3))  # (N,T,1,1)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)[:, None]  # (H,1)
    x = ((np.arange(width, dtype=np.float32) + 0.5 - 0.5 * width) / height)[None, :]  # (1,W)
    shape = np.array([SHAPES.index(scene.kind.shape) for scene in scenes])[:, None, None, None]
    coverage = np.clip(0.5 - height * _distance(shape, x - x0, y - y0, radius), 0.0, 1.0)[..., None]
    rgb = np.array([scene.rgb for scene in scenes], np.float32)[:, None, None, None]  # (N,1,1,1,3)
    ground = np.array([BACKGROUNDS[scene.kind.background] for scene in scenes], np.float32)
    ground = ground[:, None, None, None, None]
    return (ground + coverage * (rgb - ground)).astype(np.float32)
