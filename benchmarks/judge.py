"""Names what a clip shows: the colour, the motion and the shape of the one object that stands out of its background.

NumPy only, and independent of the code that made the clip: colour is a hue, motion a straight line through the
object's positions and sizes, shape how much of its bounding box it fills.

    python benchmarks/judge.py VIDEO.npy "a red circle moving right" [VIDEO.npy PROMPT ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = "unknown"
HUES: dict[str, float] = {"red": 0.0, "yellow": 57.0, "green": 126.0, "cyan": 184.0, "blue": 233.0, "purple": 292.0}
SHAPES: dict[str, float] = {"circle": 0.785, "square": 1.0, "triangle": 0.5}
# Motions as (horizontal, vertical, growth) of a whole clip, in the unit each of them usually reaches.
MOTIONS: dict[str, tuple[float, float, float]] = {
    "moving left": (-1.0, 0.0, 0.0),
    "moving right": (1.0, 0.0, 0.0),
    "moving up": (0.0, -1.0, 0.0),
    "moving down": (0.0, 1.0, 0.0),
    "growing": (0.0, 0.0, 1.0),
    "shrinking": (0.0, 0.0, -1.0),
}
TRAVEL_X, TRAVEL_Y, GROWTH = 0.55, 0.35, 0.7  # heights, heights, log of the size ratio
LEAST_MOTION = 0.3
LEAST_CONTRAST = 0.2
LEAST_SATURATION = 0.25
LEAST_AREA = 0.004


@dataclass(frozen=True)
class Verdict:
    """What the judge sees; `unknown` where nothing stands out."""

    colour: str
    direction: str
    shape: str


@dataclass(frozen=True)
class Claim:
    """What a prompt promises."""

    colour: str
    direction: str
    shape: str


@dataclass(frozen=True)
class Score:
    """Shares in [0, 1] of clips that show what their prompt says."""

    colour: float
    direction: float
    both: float
    shape: float
    clips: int

    def __str__(self) -> str:
        return (
            f"{self.clips} clips: colour {self.colour:.1%}, direction {self.direction:.1%}, "
            f"both {self.both:.1%}, shape {self.shape:.1%}"
        )


def _named(words: str, names: Sequence[str]) -> str:
    """The name among `names` that occurs in the text."""
    return next((name for name in names if name in words), UNKNOWN)


def claim_of(prompt: str) -> Claim:
    """The colour, the motion and the shape a prompt asks for."""
    # The background may be named by a colour too; it always comes last.
    subject = prompt.lower().split(" on a ")[0]
    return Claim(_named(subject, tuple(HUES)), _named(subject, tuple(MOTIONS)), _named(subject, tuple(SHAPES)))


def foreground(frames: np.ndarray) -> np.ndarray:
    """(F,H,W) how far a pixel is from the background, 0..1; the background is the median of the clip's border."""
    edge = max(1, frames.shape[1] // 32)
    border = [frames[:, :edge], frames[:, -edge:], frames[:, :, :edge], frames[:, :, -edge:]]
    ground = np.median(np.concatenate([side.reshape(-1, 3) for side in border]), axis=0)
    return np.abs(frames - ground).max(axis=-1)


def _colour(frames: np.ndarray, contrast: np.ndarray, mask: np.ndarray) -> str:
    """Name of the hue of the pixels that stand out most."""
    inner = mask & (contrast > 0.7 * np.quantile(contrast[mask], 0.9))
    rgb = np.median(frames[inner], axis=0)
    low, high = rgb.min(), rgb.max()
    if high - low < LEAST_SATURATION:
        return UNKNOWN
    # Hue in degrees from the angle in the plane across the grey axis.
    hue = np.degrees(np.arctan2(np.sqrt(3.0) * (rgb[1] - rgb[2]), 2.0 * rgb[0] - rgb[1] - rgb[2])) % 360.0
    return min(HUES, key=lambda name: abs((hue - HUES[name] + 180.0) % 360.0 - 180.0))


def _largest_run(line: np.ndarray) -> slice:
    """The part of a profile between its 1 % and 99 % quantiles: an extent that stray pixels do not stretch."""
    total = np.cumsum(line) / line.sum()
    return slice(int(np.searchsorted(total, 0.01)), int(np.searchsorted(total, 0.99)) + 1)


def _shape(mask: np.ndarray) -> str:
    """Name of the shape of a mask (H,W) by the share of its bounding box it fills."""
    rows, columns = _largest_run(mask.sum(axis=1)), _largest_run(mask.sum(axis=0))
    filled = float(mask[rows, columns].mean())
    return min(SHAPES, key=lambda name: abs(filled - SHAPES[name]))


def _slope(values: np.ndarray, moments: np.ndarray) -> float:
    """Change over a clip, time 0 to 1, of the straight line nearest to the values."""
    return float(np.polyfit(moments, values, 1)[0])


def _direction(mask: np.ndarray) -> str:
    """Name of the motion of a mask (F,H,W)."""
    frames, height, _ = mask.shape
    area = mask.reshape(frames, -1).sum(axis=1)
    seen = area >= LEAST_AREA * mask[0].size
    if seen.sum() < max(2, frames // 2):
        return UNKNOWN
    moments = np.linspace(0.0, 1.0, frames)[seen]
    y, x = np.indices(mask.shape[1:])
    centre_x = (mask * x).reshape(frames, -1).sum(axis=1)[seen] / area[seen] / height
    centre_y = (mask * y).reshape(frames, -1).sum(axis=1)[seen] / area[seen] / height
    size = 0.5 * np.log(area[seen])
    change = np.array(
        [_slope(centre_x, moments) / TRAVEL_X, _slope(centre_y, moments) / TRAVEL_Y, _slope(size, moments) / GROWTH]
    )
    if np.abs(change).max() < LEAST_MOTION:
        return UNKNOWN
    return max(MOTIONS, key=lambda name: float(change @ np.array(MOTIONS[name])))


def judge(frames: np.ndarray) -> Verdict:
    """What is seen in frames, uint8 (F,H,W,3)."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, but uint8 (F,H,W,3) are judged")
    scaled = frames.astype(np.float32) / 255.0
    contrast = foreground(scaled)
    mask = contrast > max(LEAST_CONTRAST, 0.5 * float(np.quantile(contrast, 0.99)))
    if mask.mean() < LEAST_AREA:
        return Verdict(UNKNOWN, UNKNOWN, UNKNOWN)
    area = mask.reshape(len(mask), -1).sum(axis=1)
    return Verdict(_colour(scaled, contrast, mask), _direction(mask), _shape(mask[int(area.argmax())]))


def score(verdicts: Sequence[Verdict], prompts: Sequence[str]) -> Score:
    """How often the verdicts agree with the prompts."""
    claims = [claim_of(prompt) for prompt in prompts]
    pairs = list(zip(verdicts, claims, strict=True))
    colour = np.array([seen.colour == asked.colour for seen, asked in pairs])
    direction = np.array([seen.direction == asked.direction for seen, asked in pairs])
    shape = np.array([seen.shape == asked.shape for seen, asked in pairs])
    return Score(
        float(colour.mean()), float(direction.mean()), float((colour & direction).mean()), float(shape.mean()), len(pairs)
    )


def shuffled(prompts: Sequence[str], seed: int = 0) -> list[str]:
    """The same prompts in another order: a control under which an honest judge falls to chance."""
    return [prompts[index] for index in np.random.default_rng(seed).permutation(len(prompts))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge saved clips against their prompts."""
    parser = argparse.ArgumentParser(description="Judge clips (.npy, uint8, F x H x W x 3) against their prompts.")
    parser.add_argument("pairs", nargs="+", metavar="VIDEO.npy PROMPT", help="clips, each followed by its prompt")
    pairs = parser.parse_args(arguments).pairs
    videos, prompts = pairs[0::2], pairs[1::2]
    if len(videos) != len(prompts):
        parser.error("every clip needs a prompt after it")
    verdicts = [judge(np.load(video)) for video in videos]
    for verdict, prompt in zip(verdicts, prompts, strict=True):
        print(f"{prompt}: {verdict.colour} {verdict.shape} {verdict.direction}")
    print(score(verdicts, prompts))
    print("prompts shuffled:", score(verdicts, shuffled(prompts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
