"""The pack as a custom node of the kept ComfyUI: linked, or copied where the file system has no links."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from terminal import say

# What a host reads of the pack.
SHIPPED = ("__init__.py", "nodes", "show1_core", "web", "locales", "example_workflows", "models", "pyproject.toml")
CLOCK = 2.0  # seconds: the coarsest time of a file that a file system keeps (FAT)


def is_in_place(entry: Path, pack: Path) -> bool:
    """Whether the entry is the pack, by a link, or holds its very files."""
    if not entry.exists():
        return False
    return entry.samefile(pack) or (not is_link(entry) and _same(_files(entry), _files(pack)))


def put_in_place(entry: Path, pack: Path) -> None:
    """Link the entry to the pack: a junction on Windows, which needs no rights. Where that is refused, copy."""
    remove(entry)
    try:
        _link(entry, pack)
    except OSError as refused:
        say(f"{entry} cannot be a link ({refused}); the pack is copied there instead, and again when it changes.")
        _copy(entry, pack)


def remove(entry: Path) -> None:
    """Take the entry away; what it links to stays."""
    if is_link(entry):
        entry.rmdir() if sys.platform == "win32" else entry.unlink()
    elif entry.exists():
        shutil.rmtree(entry)


def is_link(entry: Path) -> bool:
    """A symbolic link or a junction; one that leads nowhere counts too."""
    if sys.platform == "win32":  # Path.is_junction is younger than the oldest Python promised
        return os.path.lexists(entry) and Path(os.path.realpath(entry)) != Path(os.path.realpath(entry.parent)) / entry.name
    return entry.is_symlink()


def _link(entry: Path, pack: Path) -> None:
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(pack), str(entry))
    else:
        entry.symlink_to(pack, target_is_directory=True)


def _copy(entry: Path, pack: Path) -> None:
    entry.mkdir()
    for name in SHIPPED:
        source = pack / name
        if source.is_dir():
            shutil.copytree(source, entry / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy2(source, entry / name)


def _files(folder: Path) -> dict[Path, os.stat_result]:
    """Size and time of every file that a host reads, by its path below the folder."""
    found = [file for name in SHIPPED for file in ((folder / name).rglob("*") if (folder / name).is_dir() else [folder / name])]
    return {file.relative_to(folder): file.stat() for file in found if file.is_file() and "__pycache__" not in file.parts}


def _same(one: dict[Path, os.stat_result], other: dict[Path, os.stat_result]) -> bool:
    return one.keys() == other.keys() and all(
        one[path].st_size == other[path].st_size and abs(one[path].st_mtime - other[path].st_mtime) <= CLOCK for path in one)
