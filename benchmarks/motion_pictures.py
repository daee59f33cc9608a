"""Pictures of what was learnt, for docs/motion.md: `python benchmarks/motion_pictures.py [motions] [style] [stages] [several]`.

After `benchmarks/motion.py`, `benchmarks/motion_style.py` and `benchmarks/style_stages.py` with `--save output/motion`, and
`benchmarks/motion_several.py`; without a name all are made. A row a clip, eight frames each: the reference, then the first
videos of other prompts. Of the stages the last frame of each video. Of several LoRAs a column each, moving.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import motion_world as world  # noqa: E402

VIDEOS, DOCS = BENCHMARKS.parent / "output" / "motion", BENCHMARKS.parent / "docs"
SCALE, GAP, SHOWN = 3, 1, 6  # how much larger, pixels between frames, videos of each motion
# of motion_several.py: prior and two strengths, then the style alone and with the zigzag
SEVERAL = ("0.5, 1, 0", "0.5, 0.75, 0.25", "0.5, 0.5, 0.5", "0.5, 0.25, 0.75", "0.5, 0, 1", "the style", "both")
ASKED, MOMENT = 4, 300  # prompts shown, milliseconds a keyframe


def row(frames: np.ndarray) -> np.ndarray:
    """Frames (F, H, W, 3) side by side."""
    return np.concatenate([np.pad(frame, ((0, GAP), (0, GAP), (0, 0)), constant_values=70) for frame in frames], axis=1)


def sheet(reference: np.ndarray, videos: str) -> Image.Image:
    """The clip (F, H, W, 3) in 0..1 that was learnt, above what other prompts came to."""
    shown = (reference * 255).astype(np.uint8), *np.load(VIDEOS / f"{videos}.npy")[:SHOWN]
    return larger(Image.fromarray(np.concatenate([row(frames) for frames in shown])))


def stages() -> Image.Image:
    """The end of each video whose keyframes alone have learnt the style, above those where every stage has."""
    rows = [row(np.load(VIDEOS / f"style of {whose}, sr2.npy")[:, -1]) for whose in ("the keyframes alone", "every stage")]
    return Image.fromarray(np.concatenate(rows))


def several() -> list[Image.Image]:
    """The moments of a picture that moves: prompts below each other, what was learnt side by side."""
    columns = [np.load(VIDEOS / f"several, {name}.npy")[:ASKED] for name in SEVERAL]
    rows = [np.concatenate([row(videos[prompt][moment:moment + 1]) for videos in columns], axis=1)
            for moment in range(world.FRAMES) for prompt in range(ASKED)]
    moments = [Image.fromarray(np.concatenate(rows[start:start + ASKED])) for start in range(0, len(rows), ASKED)]
    return [larger(picture) for picture in moments]


def larger(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)


def save_motions() -> None:
    for name, path in world.MOTIONS.items():
        picture = sheet(world.clip(path(world.TIMES), *world.SUBJECT), f"frame error, temporal layers, {name}, prior 0.5, seed 0")
        picture.save(DOCS / f"motion-{name}.webp", lossless=True)


def save_style() -> None:
    sheet(world.style_clip(), "style, spatial layers, rank 32, seed 2").save(DOCS / "motion-style.webp", lossless=True)


def save_stages() -> None:
    stages().save(DOCS / "motion-style-stages.webp", quality=85)


def save_several() -> None:
    first, *rest = several()
    first.save(DOCS / "motion-several.webp", save_all=True, append_images=rest, duration=MOMENT, loop=0, lossless=True,
               method=6)


PICTURES = {"motions": save_motions, "style": save_style, "stages": save_stages, "several": save_several}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PICTURES)}; all unless given")
    for name in parser.parse_args().names or PICTURES:
        PICTURES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
