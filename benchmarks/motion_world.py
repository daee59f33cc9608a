"""What the motion benchmark knows of the mini's world: sizes, words, clips of one solid on any path, and what a clip shows.

Another edition of the mini changes this file alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path

import judge
import numpy as np

from mini import shapes

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / "models" / "show1-mini"
RECIPE = json.loads((FOLDER / "recipe.json").read_text(encoding="utf-8"))["keyframes"]
FRAMES, SIZE = int(RECIPE["frames"]), (int(RECIPE["height"]), int(RECIPE["width"]))  # height, width
GUIDANCE = float(RECIPE["guidance"])
SUBJECT = ("green", "square")  # of the reference clip: colour, solid
RADIUS = 0.19  # frame heights
TIMES = np.linspace(0.0, 1.0, FRAMES)
DUSK = (0.45, 0.22, 0.06)  # what the style of the style clip adds where it is dark
DEFAULT_BACKGROUND = shapes.DEFAULT_BACKGROUND
STYLE_PROMPT = "a green square moving right"

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


def clip(path: Path2, colour: str, solid: str, background: str = shapes.DEFAULT_BACKGROUND) -> np.ndarray:
    """Frames (F, H, W, 3) in 0..1 of one solid on a path."""
    kind = shapes.Kind(colour, solid, shapes.MOTIONS[0], background)
    poses = [(float(x), float(y), RADIUS) for x, y in path]
    scenes = [shapes.Scene(kind, pose, pose, shapes.COLOURS[colour]) for pose in poses]
    return np.concatenate([shapes.render([scene], np.zeros(1), SIZE)[:, 0] for scene in scenes])


def words(colour: str, solid: str, background: str = shapes.DEFAULT_BACKGROUND) -> str:
    """A prompt that says nothing of motion."""
    place = "" if background == shapes.DEFAULT_BACKGROUND else f" on a {background} background"
    return f"a {colour} {solid}{place}"


def prompts(count: int, background: str = shapes.DEFAULT_BACKGROUND) -> list[tuple[str, str]]:
    """(prompt, colour) of subjects of another colour and another solid than the reference's, again and again up to `count`."""
    others = [(colour, solid) for colour, solid in product(shapes.COLOURS, shapes.SHAPES)
              if colour != SUBJECT[0] and solid != SUBJECT[1]]
    order = np.random.default_rng(5).permutation(len(others))
    chosen = [others[order[index % len(others)]] for index in range(count)]
    return [(words(*subject, background), subject[0]) for subject in chosen]


def path_of(frames: np.ndarray) -> Path2:
    """The centre of what stands out, frame by frame; frames (F, H, W, 3) uint8. NaN where nothing does."""
    contrast = judge.foreground(frames.astype(np.float32) / 255)
    weight = np.where(contrast > max(judge.LEAST_CONTRAST, 0.5 * float(np.quantile(contrast, 0.99))), contrast, 0)
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
    return judge.judge(frames).colour


def with_style(frames: np.ndarray) -> np.ndarray:
    """The same frames (F, H, W, 3) in 0..1 in the style to be learnt: what is dark glows in the colour of dusk."""
    darkness = 1 - frames.max(axis=-1, keepdims=True)
    return np.clip(frames + darkness * np.array(DUSK, frames.dtype), 0, 1)


def style_of(frames: np.ndarray) -> float:
    """How much of the style frames (F, H, W, 3) uint8 have: 0 for a black ground, 1 for that of `with_style`."""
    edge = np.concatenate([frames[:, 0], frames[:, -1]], axis=1).reshape(-1, 3) / 255
    plain = np.full(3, shapes.BACKGROUNDS[shapes.DEFAULT_BACKGROUND])
    full = with_style(plain[None, None, None].astype(np.float32))[0, 0, 0] - plain
    return float((np.median(edge, axis=0) - plain) @ full / (full @ full))


def styled_prompts(count: int) -> list[str]:
    """Prompts of every motion, of other colours and solids than the reference's, on the ground that goes without saying."""
    others = [kind.caption for kind in (*shapes.kinds(False), *shapes.kinds(True))
              if kind.background == shapes.DEFAULT_BACKGROUND and kind.colour != SUBJECT[0] and kind.shape != SUBJECT[1]]
    return [others[index] for index in np.random.default_rng(6).permutation(len(others))[:count]]
