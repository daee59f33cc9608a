"""Which clips a folder holds: video files at any depth, and folders of pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from terminal import Failure


@dataclass(frozen=True)
class Clip:
    """A video file or a folder of pictures, by its name below the set's folder; `stamp` changes when the clip does."""

    name: str
    path: Path
    stamp: str


def clips_of(root: Path) -> list[Clip]:
    """All clips below a folder, in order of name. Raises Failure when there is none.

    A folder of pictures is a clip when it holds no video and no folder; what lies beside videos, such as a contact sheet,
    is none.
    """
    from show1_core.frame_files import VIDEOS, pictures_of

    if not root.is_dir():
        raise Failure(f"{root} is no folder; expected one with videos, or with folders of frames.")
    found: list[Clip] = []
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place, name) for name in sorted(files) if not name.startswith(".")]
        videos = [path for path in paths if path.suffix.lower() in VIDEOS]
        found += [Clip(path.relative_to(root).with_suffix("").as_posix(), path, stamp_of([path])) for path in videos]
        pictures = pictures_of(paths)
        if pictures and not videos and not folders and Path(place) != root:
            found.append(Clip(Path(place).relative_to(root).as_posix(), Path(place), stamp_of(pictures)))
    if not found:
        raise Failure(f"{root} has no clips; expected videos ({', '.join(sorted(VIDEOS))}) or folders of pictures.")
    names = [clip.name for clip in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Failure(f"{root} has two clips called {twice}; give every clip a name of its own.")
    return sorted(found, key=lambda clip: clip.name)


def stamp_of(files: list[Path]) -> str:
    """Sizes and times of a clip's files."""
    states = [file.stat() for file in files]
    return f"{len(states)}-{sum(state.st_size for state in states)}-{max(state.st_mtime_ns for state in states)}"


def shuffled(clips: list[Clip]) -> list[Clip]:
    """The same clips in an order that is random, yet always the same: by the hash of their names."""
    return sorted(clips, key=lambda clip: hashlib.sha256(clip.name.encode()).digest())


def prompt_of(clip: Clip, prompts: Mapping[str, str]) -> str:
    """The prompt whose id is the clip's name, its file's, or its folder's. Raises Failure."""
    name = Path(clip.name)
    for candidate in (clip.name, name.name, name.parent.name):
        if candidate in prompts:
            return prompts[candidate]
    raise Failure(f"{clip.name} has no prompt; its name, or that of its folder, should be an id of the table after --prompts.")
