"""Frames of a clip, read in processes of their own. Imports no torch, so that a process starts quickly."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np


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

    def of(self, count: int) -> range:
        """Which of `count` frames are read. Raises ValueError when there are too few."""
        if count < max(self.least, 1):
            raise ValueError(f"it has {count} frames; {max(self.least, 1)} or more are needed")
        start = 0 if self.frames is None else (count - self.frames) // 2
        return range(start, count if self.frames is None else start + self.frames)


def decode(path: Path, wanted: Wanted) -> Decoded:
    """The frames of a clip; a clip that cannot be read is a reason, not an error."""
    from show1_core.frame_files import FramesError, read

    try:
        return Decoded(read(path, wanted.of))
    except FramesError as error:
        return Decoded(None, error.reason)
