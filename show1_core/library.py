"""What lies in a models folder: which names a loader offers, and which path a name stands for.

Names are paths below a root, written with `/`. A name counts only if the listing has it, so nothing outside the
roots can be named.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .checkpoints import METADATA_KEY, RECORD
from .weights import CheckpointError, read_metadata, read_names

DEPTH = 2  # a root holds checkpoints (`show-1-base`) or families of them (`show1-mini/keyframes`)


def unet_names(roots: Iterable[Path]) -> dict[str, Path]:
    """Folders with a `unet/config.json`, and converted single files, by name."""
    found: dict[str, Path] = {}
    for root in roots:
        for folder in folders(root):
            if (folder / "unet" / "config.json").is_file():
                found.setdefault(name_of(folder, root), folder)
        for file in sorted(root.rglob("*.safetensors")) if root.is_dir() else ():
            if file.is_file() and not part_of_a_folder(file) and is_converted(file):
                found.setdefault(name_of(file, root), file)
    return found


def part_names(roots: Iterable[Path], part: str) -> dict[str, Path]:
    """Folders called `part` (`text_encoder`, `vae`) inside checkpoints, by names such as `show-1-base/text_encoder`."""
    found: dict[str, Path] = {}
    for root in roots:
        for folder in folders(root):
            if (folder / part / "config.json").is_file():
                found.setdefault(name_of(folder / part, root), folder / part)
    return found


def folders(root: Path) -> list[Path]:
    """Folders down to the depth at which checkpoints may lie, in order of name; hidden ones are unfinished."""
    level, found = [root], []
    for _ in range(DEPTH):
        level = [entry for parent in level if parent.is_dir() for entry in sorted(parent.iterdir())
                 if entry.is_dir() and not entry.name.startswith(".")]
        found += level
    return found


def name_of(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def part_of_a_folder(file: Path) -> bool:
    return (file.parent / "config.json").is_file()


def is_converted(file: Path) -> bool:
    """Whether a safetensors file says that it is a Show-1 UNet."""
    try:
        return METADATA_KEY in read_metadata(file) or RECORD in read_names(file)
    except CheckpointError:
        return False  # a damaged or foreign file is not ours to report while listing
