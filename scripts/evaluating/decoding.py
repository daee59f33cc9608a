"""Frames of a clip, read in processes of their own. Imports neither torch nor the library, so that a process starts quickly."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from itertools import islice
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from .clips import pictures_of


@dataclass(frozen=True)
class Decoded:
    """Frames uint8 (F, H, W, 3), or why there are none."""

    frames: np.ndarray | None
    reason: str = ""


def end_with_parent() -> None:
    """Begin a process of the pool: it ends when the command does, in whatever way that is."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


@dataclass(frozen=True)
class Wanted:
    """How many frames of a clip's middle are read (None: all), and how many it must have."""

    frames: int | None
    least: int

    def of(self, count: int) -> slice:
        """Which of `count` frames are read. Raises ValueError when there are too few."""
        if count < max(self.least, 1):
            raise ValueError(f"it has {count} frames; {max(self.least, 1)} or more are needed")
        start = 0 if self.frames is None else (count - self.frames) // 2
        return slice(start, count if self.frames is None else start + self.frames)


def decode(path: Path, wanted: Wanted) -> Decoded:
    """The frames of a clip; a clip that cannot be read is a reason, not an error."""
    from av.error import FFmpegError

    try:
        return Decoded(pictures(path, wanted) if path.is_dir() else video(path, wanted))
    except (FFmpegError, OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow calls a broken PNG a SyntaxError
        return Decoded(None, str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)


def video(path: Path, wanted: Wanted) -> np.ndarray:
    """Frames of a video file; where the file says how many there are, no more than needed are kept. Raises ValueError."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ValueError("it has no video in it")
        stream = container.streams.video[0]
        promised = stream.frames
        if promised:
            part = wanted.of(promised)
            frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(stream), part.start, part.stop)]
            if len(frames) < part.stop - part.start:
                raise ValueError(f"{part.start + len(frames)} of its {promised} frames can be read")
        else:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            frames = frames[wanted.of(len(frames))]
    return np.stack(frames)


def pictures(folder: Path, wanted: Wanted) -> np.ndarray:
    """Frames saved as pictures of one size. Raises ValueError."""
    from PIL import Image

    files = pictures_of(list(folder.iterdir()))
    frames = []
    for file in files[wanted.of(len(files))]:
        with Image.open(file) as picture:
            frames.append(np.asarray(picture.convert("RGB")))
        if frames[-1].shape != frames[0].shape:
            raise ValueError(f"{file.name} has another size than the frames before it")
    return np.stack(frames)
