"""Frames from files: of a video, or of a folder of pictures. NumPy, PyAV and Pillow alone, so that a process starts quickly."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

VIDEOS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}
PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
# what a damaged file is called, by its format; a broken PNG is a SyntaxError, one that claims to be huge a plain Exception
DAMAGED = (av.FFmpegError, OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)

Chosen = Callable[[int], Collection[int]]  # of so many frames, those that are wanted, in rising order


class FramesError(ValueError):
    """Frames cannot be read; the text is one sentence, `reason` what it says without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read ({reason}); expected a whole video, or a folder of whole pictures, such as "
                         "001.png, 002.png.")
        self.reason = reason


def read(path: Path, chosen: Chosen = range, resize: bool = False) -> np.ndarray:
    """Frames uint8 (F, H, W, 3) of a video or a folder of pictures; those `chosen` of their count are kept, by default all.

    Pictures are refused when their sizes differ, or resized to the size of the first. Raises FramesError, also for a
    ValueError of `chosen`.
    """
    try:
        frames = _pictures(path, chosen, resize) if path.is_dir() else _video(path, chosen)
        if not frames:
            raise ValueError("it holds no frames")
        return np.stack(frames)
    except DAMAGED as error:
        raise FramesError(path, _said(error)) from error


def pictures_of(paths: Iterable[Path]) -> list[Path]:
    """The pictures among files, in the order of the numbers in their names; what a system hides is none."""
    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]

    return sorted((path for path in paths if path.suffix.lower() in PICTURES and not path.name.startswith(".")), key=order)


def _pictures(folder: Path, chosen: Chosen, resize: bool) -> list[np.ndarray]:
    files = pictures_of(folder.iterdir())
    frames: list[np.ndarray] = []
    for file in (files[index] for index in chosen(len(files))):
        try:
            with Image.open(file) as picture:
                plain = picture.convert("RGB")
        except DAMAGED as error:
            raise ValueError(f"{file.name}: {_said(error)}") from error
        size = (frames[0].shape[1], frames[0].shape[0]) if frames else plain.size
        if plain.size != size and not resize:
            raise ValueError(f"{file.name} has another size than the frames before it")
        frames.append(np.asarray(plain if plain.size == size else plain.resize(size, Image.Resampling.BICUBIC)))
    return frames


def _video(path: Path, chosen: Chosen) -> list[np.ndarray]:
    """Not every format says how many frames there are; the frames of one that does not are decoded twice."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("it has no video in it")
        count = container.streams.video[0].frames
    count = count or sum(1 for _ in _decoded(path))
    wanted = chosen(count)
    upto = islice(_decoded(path), max(wanted, default=-1) + 1)
    frames = [frame.to_ndarray(format="rgb24") for number, frame in enumerate(upto) if number in wanted]
    if len(frames) < len(wanted):
        raise ValueError(f"it says that it has {count} frames, and fewer can be read")
    return frames


def _decoded(path: Path) -> Iterator[VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(container.streams.video[0])


def _said(error: BaseException) -> str:
    """The first line of an error, or what kind it is."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
