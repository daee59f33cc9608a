"""Pictures of what benchmarks/motion.py has drawn, for docs/motion.md: `python benchmarks/motion_pictures.py`.

A row a clip, eight frames each: the reference, then the first videos of other prompts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import motion_world as world  # noqa: E402

VIDEOS, DOCS = BENCHMARKS.parent / "output" / "motion", BENCHMARKS.parent / "docs"
SCALE, GAP, SHOWN = 3, 1, 6  # how much larger, pixels between frames, videos of each motion


def row(frames: np.ndarray) -> np.ndarray:
    """Frames (F, H, W, 3) side by side."""
    return np.concatenate([np.pad(frame, ((0, GAP), (0, GAP), (0, 0)), constant_values=70) for frame in frames], axis=1)


def sheet(name: str, way: str) -> Image.Image:
    """The reference of a motion above what other prompts came to."""
    reference = (world.clip(world.MOTIONS[name](world.TIMES), *world.SUBJECT) * 255).astype(np.uint8)
    videos = np.load(VIDEOS / f"{way}, {name}, prior 0.5, seed 0.npy")[:SHOWN]
    picture = Image.fromarray(np.concatenate([row(reference), *map(row, videos)]))
    return picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)


def main() -> int:
    """The command line."""
    for name in world.MOTIONS:
        sheet(name, "frame error, temporal layers").save(DOCS / f"motion-{name}.webp", lossless=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
