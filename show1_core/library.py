"""What lies in a models folder: which names a loader offers, and which path a name stands for.

Names are paths below a root, written with `/`. A name counts only if the listing has it, so nothing outside the
roots can be named; links in the roots are followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from .checkpoints import METADATA_KEY, RECORD
from .weights import CheckpointError, is_safetensors, read_header, read_json, read_metadata, read_names

DEPTH = 2  # a root holds checkpoints (`show-1-base`) or families of them (`show1-mini/keyframes`)
MARK = b"show1"  # in the header of every file of ours, in METADATA_KEY or in RECORD


@dataclass(frozen=True)
class Contents:
    """Folders and safetensors files in a folder, in order of name, and whether it is a part of a published checkpoint."""

    folders: Sequence[os.DirEntry[str]] = ()
    files: Sequence[os.DirEntry[str]] = ()
    is_part: bool = False


Look = Callable[[str], Contents]  # at a folder


def contents(folder: str) -> Contents:
    """What is in a folder; nothing when it is none, or not ours to read."""
    try:
        with os.scandir(folder) as found:
            inside = list(found)
    except OSError:
        return Contents()  # as the host lists folders: what cannot be read is not offered
    return Contents(by_name(filter(is_folder, inside)), by_name(entry for entry in inside if is_safetensors(entry.name)),
                    any(entry.name == "config.json" for entry in inside))


def by_name(some: Iterable[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    return sorted(some, key=attrgetter("name"))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


class KnownFiles:
    """Which single files are Show-1 UNets: a file is opened when its path, size or time of change is new, and not again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, bool]] = {}

    def is_unet(self, entry: os.DirEntry[str]) -> bool:
        """Whether an entry of a folder is a file that says it is a Show-1 UNet."""
        try:
            status = entry.stat()
        except OSError:
            return False  # a link that leads nowhere, or to itself
        if not stat.S_ISREG(status.st_mode):
            return False
        known = self._known.get(entry.path)
        if known is None or known[:2] != (status.st_size, status.st_mtime_ns):
            known = self._known[entry.path] = (status.st_size, status.st_mtime_ns, is_converted(Path(entry.path)))
        return known[2]


def unet_names(roots: Iterable[Path], known: KnownFiles | None = None) -> dict[str, Path]:
    """Folders with a `unet/config.json`, and converted single files, by name. `known` spares opening files again."""
    look = cache(contents)  # both are looked for in the same folders
    found, known = folders_where(roots := list(roots), has_part("unet"), look), known or KnownFiles()
    for root in roots:
        for entry in single_files(str(root), look):
            if known.is_unet(entry):
                found.setdefault(name_of(Path(entry.path), root), Path(entry.path))
    return found


def part_names(roots: Iterable[Path], part: str) -> dict[str, Path]:
    """Folders called `part` (`text_encoder`, `vae`) inside checkpoints, by names such as `show-1-base/text_encoder`."""
    return {f"{name}/{part}": folder / part for name, folder in part_folders(roots, part).items()}


def part_folders(roots: Iterable[Path], part: str) -> dict[str, Path]:
    """Checkpoints that have this part with a config.json, by name."""
    return folders_where(roots, has_part(part))


def has_part(part: str) -> Callable[[Path], bool]:
    """Whether a folder is a checkpoint with this part."""
    return lambda folder: (folder / part / "config.json").is_file()


def folders_where(roots: Iterable[Path], holds: Callable[[Path], bool], look: Look = contents) -> dict[str, Path]:
    """Folders below the roots of which this holds, by name; of equal names the first root's."""
    found: dict[str, Path] = {}
    for root in roots:
        for folder in folders(root, look):
            if holds(folder):
                found.setdefault(name_of(folder, root), folder)
    return found


def config_in(folder: Path) -> dict[str, Any]:
    """A folder's config.json; nothing where there is none, or a damaged one, which is not ours to report while listing."""
    try:
        return read_json(folder / "config.json")
    except CheckpointError:
        return {}


def folders(root: Path, look: Look) -> list[Path]:
    """Folders down to the depth at which checkpoints may lie, in order of name; hidden ones are unfinished."""
    level, found = [root], []
    for _ in range(DEPTH):
        level = [Path(entry.path) for parent in level for entry in look(str(parent)).folders if not entry.name.startswith(".")]
        found += level
    return found


def single_files(folder: str, look: Look, above: tuple[str, ...] = ()) -> Iterator[os.DirEntry[str]]:
    """The safetensors files below a folder that are no part of a published one, in order of name; links are followed.

    `above` are the real paths of the folders around it: a link to one of them leads in a circle, and is left out.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    inside = look(folder)
    if not inside.is_part:
        yield from inside.files
    for entry in inside.folders:
        if entry.name != ".git":
            yield from single_files(entry.path, look, (*above, real))


def name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def is_converted(file: Path) -> bool:
    """Whether a safetensors file says that it is a Show-1 UNet; most others are told by their header's bytes alone."""
    try:
        return MARK in read_header(file) and (METADATA_KEY in read_metadata(file) or RECORD in read_names(file))
    except (CheckpointError, OSError):
        return False  # a damaged or foreign file is not ours to report while listing
