"""One at a time, across processes: by the standard library alone, for it is needed before any package is there."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from terminal import say

PAUSE = 0.2  # seconds between two tries


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file inside the block; whoever comes second waits, and a process that dies lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        waits = False
        while not _take(file):
            if not waits:
                say(f"waiting for another command that holds {path} ...")
            waits = True
            time.sleep(PAUSE)
        try:
            yield
        finally:
            _let_go(file)


def _take(file: BinaryIO) -> bool:
    """Try once."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # how POSIX and Windows say that somebody else has it
        return False
    return True


def _let_go(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)
