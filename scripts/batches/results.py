"""The result files: made under a temporary name, checked, and put in their place in one step."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout
from terminal import Failure

PART = ".part-"
LOCK = ".lock"
VIDEOS = frozenset({".mp4", ".webm", ".mkv", ".mov"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tiff"})
BLOCK = 2**20  # bytes read at once


class Broken(Exception):
    """A file that a node wrote, but that cannot be read."""


class Store:
    """The output folder; while it is open no other batch writes there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(str(folder / LOCK))

    def open(self) -> None:
        """Take the folder and clear away what a killed batch left. Raises Failure."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._clear()
            self.part().rmdir()
        except Timeout as error:
            raise Failure(f"another batch is writing to {self.folder}; wait for it, or name another --output.") from error
        except OSError as error:
            raise Failure(f"{self.folder} cannot be written to: {error.strerror or error}.") from error

    def close(self) -> None:
        """Leave it without anything half made."""
        self._clear()
        self._lock.release()

    def part(self) -> Path:
        """A new folder for what is being made."""
        part = self.folder / f"{PART}{uuid.uuid4().hex[:12]}"
        part.mkdir()
        return part

    def place(self, job_id: str) -> Path:
        """Where the files of a job lie when it is done."""
        return self.folder / job_id

    def is_done(self, job_id: str) -> bool:
        """Whether the files are there; a folder is only ever renamed to this name when they are."""
        return self.place(job_id).is_dir()

    def done(self, job_ids: Iterable[str]) -> set[str]:
        """Those of the jobs that are done; one look at the folder, for a table may be long."""
        present = set(os.listdir(self.folder))
        return {job_id for job_id in job_ids if job_id in present and self.is_done(job_id)}

    def commit(self, job_id: str, part: Path) -> dict[str, str]:
        """Check the files in a part, make them durable and give them their name; SHA-256 by file name.

        Raises Broken for a file that cannot be read. Where the job is done already, its files stay.
        """
        for file in files_of(part):
            _check(file)
            _sync(file)
        _sync(part)
        try:
            part.rename(self.place(job_id))
        except OSError:
            if not self.is_done(job_id):
                raise
            shutil.rmtree(part)
        _sync(self.folder)
        return self.digests(job_id)

    def digests(self, job_id: str) -> dict[str, str]:
        """SHA-256 of each file of a job that is done, by its name."""
        from show1_core.digests import sha256_of

        return {file.name: sha256_of(file) for file in files_of(self.place(job_id))}

    def _clear(self) -> None:
        for left in self.folder.glob(PART + "*"):
            shutil.rmtree(left)


def is_locked(folder: Path) -> bool:
    """Whether a batch is writing to the folder at this moment."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(str(folder / LOCK))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def files_of(folder: Path) -> list[Path]:
    """The files in a result folder, in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.is_file())


def _check(file: Path) -> None:
    """Decode a picture, or the first frame of a video; of other files only that they are not empty."""
    if not file.stat().st_size:
        raise Broken(f"{file.name} is empty")
    if file.suffix.lower() in VIDEOS:
        _first_frame(file)
    elif file.suffix.lower() in PICTURES:
        _whole_picture(file)


def _first_frame(file: Path) -> None:
    import av

    try:
        with av.open(str(file)) as video:
            has_frames = not video.streams.video or next(video.decode(video=0), None) is not None  # sound alone will do
    except av.FFmpegError as error:
        raise Broken(f"{file.name} cannot be read back: {error}") from error
    if not has_frames:
        raise Broken(f"{file.name} has no frames")


def _whole_picture(file: Path) -> None:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:  # by format
        raise Broken(f"{file.name} cannot be read back: {error}") from error


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Windows has no such call for folders."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
