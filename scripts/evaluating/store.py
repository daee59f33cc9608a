"""Measured features on disk, so that a run goes on after a kill: files of some clips each, whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .clips import Clip

if TYPE_CHECKING:
    from torch import Tensor

CLIPS_A_FILE = 64  # what a kill can cost


class Store:
    """The features of one folder of clips by one extractor."""

    def __init__(self, work: Path, *key: str) -> None:
        self.folder = work / hashlib.sha256("\n".join(key).encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._places: dict[str, tuple[str, Path, int, int]] = {}  # stamp, file, first row, rows
        self._waiting: list[tuple[Clip, Tensor]] = []
        for file in sorted(self.folder.glob("*.safetensors")):
            self._index(file)

    def has(self, clip: Clip) -> bool:
        """Whether the clip was measured as it is now."""
        return clip.name in self._places and self._places[clip.name][0] == clip.stamp

    def add(self, clip: Clip, features: Tensor) -> None:
        """Keep the features (R, D) of a clip; they reach the disk with those of some more clips."""
        self._waiting.append((clip, features))
        if len(self._waiting) >= CLIPS_A_FILE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        import torch
        from safetensors.torch import save_file

        rows = [{"name": clip.name, "stamp": clip.stamp, "rows": len(features)} for clip, features in self._waiting]
        file = self.folder / f"{time.time_ns()}-{os.getpid()}.safetensors"
        partial = file.with_suffix(".partial")
        save_file({"features": torch.cat([features for _, features in self._waiting])}, partial, {"clips": json.dumps(rows)})
        partial.replace(file)
        self._waiting = []
        self._index(file)

    def features(self, clips: Iterable[Clip]) -> Iterator[Tensor]:
        """The features (R, D) of measured clips, in their order, without holding them all."""
        opened: tuple[Path, Any] | None = None
        for clip in clips:
            _, file, first, rows = self._places[clip.name]
            if opened is None or opened[0] != file:
                opened = file, _open(file)
            yield opened[1].get_slice("features")[first:first + rows]

    def _index(self, file: Path) -> None:
        first = 0
        for row in json.loads(_open(file).metadata()["clips"]):
            self._places[row["name"]] = row["stamp"], file, first, row["rows"]
            first += row["rows"]


def _open(file: Path) -> Any:
    from safetensors import safe_open

    return safe_open(file, framework="pt")
