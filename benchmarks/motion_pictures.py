"""Pictures of what was learnt, for docs/motion.md: `python benchmarks/motion_pictures.py`.

After `benchmarks/motion.py`, and `benchmarks/motion_style.py` and `benchmarks/style_stages.py` with `--save output/motion`. A
row a clip, eight frames each: the reference, then the first videos of other prompts. Of the stages the last frame of each video.
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


def sheet(reference: np.ndarray, videos: str) -> Image.Image:
    """The clip (F, H, W, 3) in 0..1 that was learnt, above what other prompts came to."""
    shown = (reference * 255).astype(np.uint8), *np.load(VIDEOS / f"{videos}.npy")[:SHOWN]
    picture = Image.fromarray(np.concatenate([row(frames) for frames in shown]))
    return picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)


def stages() -> Image.Image:
    """The end of each video whose keyframes alone have learnt the style, above those where every stage has."""
    rows = [row(np.load(VIDEOS / f"style of {whose}, sr2.npy")[:, -1]) for whose in ("the keyframes alone", "every stage")]
    return Image.fromarray(np.concatenate(rows))


def main() -> int:
    """The command line."""
    for name, path in world.MOTIONS.items():
        picture = sheet(world.clip(path(world.TIMES), *world.SUBJECT), f"frame error, temporal layers, {name}, prior 0.5, seed 0")
        picture.save(DOCS / f"motion-{name}.webp", lossless=True)
    sheet(world.style_clip(), "style, spatial layers, rank 32, seed 2").save(DOCS / "motion-style.webp", lossless=True)
    stages().save(DOCS / "motion-style-stages.webp", quality=85)
    return 0


if __name__ == "__main__":
    sys.exit(main())
