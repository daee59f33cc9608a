"""What the motion benchmark knows of the mini's world: sizes, words, clips of one solid on any path, and what a clip shows.

Another edition of the mini changes this file alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import numpy as np
from judge_frames import LEAST_CONTRAST, backdrop, contrast_of, judge

from mini.grammar import COLOURS, DEFAULT_PLACE, PLACES, SOLIDS, Kind, kinds
from mini.render import render
from mini.world import PLACES as LOOKS
from mini.world import RGB, Scene, Solid

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / "models" / "show1-mini"
RECIPE = json.loads((FOLDER / "recipe.json").read_text(encoding="utf-8"))["keyframes"]
FRAMES, SIZE = int(RECIPE["frames"]), (int(RECIPE["height"]), int(RECIPE["width"]))  # height, width
GUIDANCE = float(RECIPE["guidance"])
SUBJECT = ("green", "cube")  # of the reference clip: colour, solid
RADIUS = 0.19  # frame heights
TIMES = np.linspace(0.0, 1.0, FRAMES)
DUSK = (0.45, 0.22, 0.06)  # what the style of the style clip adds where it is dark
STYLE_PROMPT = "a green cube moving right"

Path2 = np.ndarray  # (F, 2): x and y of the centre in frame heights, the origin in the middle, y down


def diagonal(t: np.ndarray) -> Path2:
    """From the upper left to the lower right."""
    return np.stack([-0.4 + 0.8 * t, -0.25 + 0.5 * t], axis=1)


def zigzag(t: np.ndarray) -> Path2:
    """To the right, down and up again on the way, twice."""
    return np.stack([-0.45 + 0.9 * t, 0.25 * (1 - 4 * np.abs((2 * t) % 1 - 0.5))], axis=1)


def loop(t: np.ndarray) -> Path2:
    """Once around, from the top to the right."""
    return np.stack([0.35 * np.sin(2 * np.pi * t), -0.25 * np.cos(2 * np.pi * t)], axis=1)


MOTIONS: Mapping[str, Callable[[np.ndarray], Path2]] = {"zigzag": zigzag, "diagonal": diagonal, "loop": loop}


def clip(path: Path2, colour: str, solid: str, place: str = DEFAULT_PLACE, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Frames (F, H, W, 3) in 0..1 of one solid on a path; its shadow lies below the lowest of it."""
    kind = Kind(colour, solid, "moving right", place)
    floor = float(path[:, 1].max()) + RADIUS
    poses = [(float(x), float(y), RADIUS, floor) for x, y in path]
    scenes = [Scene(kind, (Solid(solid, RGB[colour], pose, pose),)) for pose in poses]
    return np.concatenate([render([scene], np.zeros(1), size)[:, 0] for scene in scenes])


def words(colour: str, solid: str, place: str = DEFAULT_PLACE) -> str:
    """A prompt that says nothing of motion."""
    return f"a {colour} {solid}" + ("" if place == DEFAULT_PLACE else f" {PLACES[place][0]}")


def prompts(count: int, place: str = DEFAULT_PLACE) -> list[tuple[str, str]]:
    """(prompt, colour) of subjects of another colour and another solid than the reference's, again and again up to `count`."""
    others = [(colour, solid) for colour, solid in product(COLOURS, SOLIDS)
              if colour != SUBJECT[0] and solid != SUBJECT[1]]
    order = np.random.default_rng(5).permutation(len(others))
    chosen = [others[order[index % len(others)]] for index in range(count)]
    return [(words(*subject, place), subject[0]) for subject in chosen]


def path_of(frames: np.ndarray) -> Path2:
    """The centre of what stands out, frame by frame; frames (F, H, W, 3) uint8. NaN where nothing does."""
    scaled = frames.astype(np.float32) / 255
    contrast = contrast_of(scaled, backdrop(scaled))
    weight = np.where(contrast > max(LEAST_CONTRAST, 0.3 * float(np.quantile(contrast, 0.99))), contrast, 0)
    total = weight.sum(axis=(1, 2))
    y, x = np.indices(weight.shape[1:])
    height, width = SIZE
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([((weight * x).sum(axis=(1, 2)) / total - (width - 1) / 2) / height,
                         ((weight * y).sum(axis=(1, 2)) / total - (height - 1) / 2) / height], axis=1)


def compared(frames: np.ndarray, reference: Path2) -> tuple[float, float]:
    """(correlation, amplitude) of a clip's path with a reference path: both centred, the worse of the two axes.

    Over both axes at once a path straight to the right would pass for a zigzag to the right. 0 where nothing is seen.
    """
    path = path_of(frames)
    if np.isnan(path).any():
        return 0.0, 0.0
    path, reference = path - path.mean(axis=0), reference - reference.mean(axis=0)
    size, true = np.linalg.norm(path, axis=0), np.linalg.norm(reference, axis=0)
    correlation = (path * reference).sum(axis=0) / np.maximum(size * true, 1e-9)
    return float(correlation.min()), float((size / true).min())


def colour_of(frames: np.ndarray) -> str:
    """The colour that the judge sees."""
    return judge(frames).first.colour


def with_style(frames: np.ndarray) -> np.ndarray:
    """The same frames (F, H, W, 3) in 0..1 in the style to be learnt: what is dark glows in the colour of dusk."""
    darkness = 1 - frames.max(axis=-1, keepdims=True)
    return np.clip(frames + darkness * np.array(DUSK, frames.dtype), 0, 1)


def style_clip(frames: int = FRAMES, size: tuple[int, int] = SIZE) -> np.ndarray:
    """What a style is learnt from, (F, H, W, 3) in 0..1: the subject moves right on a ground that glows."""
    times = np.linspace(0.0, 1.0, frames)
    return with_style(clip(np.stack([-0.05 + 0.5 * times, 0 * times], axis=1), *SUBJECT, size=size))


def style_of(frames: np.ndarray) -> float:
    """How much of the style frames (F, H, W, 3) uint8 have: 0 for a black ground, 1 for that of `with_style`."""
    edge = np.concatenate([frames[:, 0], frames[:, -1]], axis=1).reshape(-1, 3) / 255
    plain = np.array(LOOKS[DEFAULT_PLACE].top)
    full = with_style(plain[None, None, None].astype(np.float32))[0, 0, 0] - plain
    return float((np.median(edge, axis=0) - plain) @ full / (full @ full))


def styled_prompts(count: int) -> list[str]:
    """Prompts of every motion, of other colours and solids than the reference's, on the ground that goes without saying."""
    others = [kind.caption for kind in (*kinds(False), *kinds(True))
              if kind.place == DEFAULT_PLACE and kind.colour != SUBJECT[0] and kind.solid != SUBJECT[1]]
    return [others[index] for index in np.random.default_rng(6).permutation(len(others))[:count]]
