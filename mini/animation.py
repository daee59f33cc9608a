"""Put videos of the demo side by side, as the moving picture of the README.

    for PROMPT in ...; do python scripts/demo.py "$PROMPT" --output clips; done
    python -m mini.animation clips/video/*.mp4 --output docs/demo.webp

Each video's prompt is read from the workflow that ComfyUI saved in it and written below its frames. Needs PyAV and Pillow,
which every ComfyUI's Python has (`.comfyui/venv` holds the one that the demo set up).
"""

from __future__ import annotations

import argparse
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CAPTION_HEIGHT, CAPTION_LETTERS = 36, 30  # pixels; letters a line
PAPER, INK = (24, 24, 24), (235, 235, 235)
FRAMES_PER_SECOND = 8


@dataclass(frozen=True)
class Video:
    """Frames of one size, as pictures, and the prompt they were made from."""

    frames: list[Any]
    prompt: str


def read(path: Path) -> Video:
    """Raises ValueError for a video without a saved prompt."""
    import av

    with av.open(str(path)) as container:
        nodes = json.loads(container.metadata.get("prompt", "{}")).values()
        prompts = [node["inputs"]["value"] for node in nodes if node["_meta"]["title"] == "Prompt"]
        if not prompts:
            raise ValueError(f"{path} holds no workflow with a node titled Prompt; take a video that scripts/demo.py made.")
        return Video([frame.to_image() for frame in container.decode(video=0)], prompts[0])


def side_by_side(videos: list[Video], columns: int) -> list[Any]:
    """One picture for each frame, `columns` videos in a row, the prompts below them; the shortest video ends it."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = videos[0].frames[0].size
    rows = -(-len(videos) // columns)
    font = ImageFont.load_default(12)
    pictures = []
    for frames in zip(*(video.frames for video in videos)):
        picture = Image.new("RGB", (columns * width, rows * (height + CAPTION_HEIGHT)), PAPER)
        draw = ImageDraw.Draw(picture)
        for place, (frame, video) in enumerate(zip(frames, videos)):
            left, top = place % columns * width, place // columns * (height + CAPTION_HEIGHT)
            picture.paste(frame, (left, top))
            caption = "\n".join(textwrap.wrap(video.prompt, CAPTION_LETTERS))
            draw.text((left + width // 2, top + height + CAPTION_HEIGHT // 2), caption, INK, font, anchor="mm", align="center")
        pictures.append(picture)
    return pictures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mini.animation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.webp")
    parser.add_argument("--columns", type=int, default=3)
    chosen = parser.parse_args()
    first, *others = side_by_side([read(path) for path in chosen.videos], chosen.columns)
    first.save(chosen.output, save_all=True, append_images=others, duration=1000 // FRAMES_PER_SECOND, loop=0, quality=80)
    print(f"{chosen.output}: {1 + len(others)} frames, {chosen.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
