"""Lies in the kept environment's packages and is read at Python's start: torchvision beside a torch for the CPU alone.

The package index offers torchvision built for NVIDIA cards, whose compiled half does not load there. Its Python half,
which is all that transformers, diffusers and the host use, registers shapes for two of its operators at import and fails
without them. So they are declared just before it is imported.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

KEPT: list[Any] = []  # a declaration lasts as long as its library


class Declare:
    """Asked first for every module; at torchvision's turn it declares the operators, finds nothing, and is gone."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Nothing is found here."""
        if name == "torchvision":
            sys.meta_path.remove(self)  # type: ignore[arg-type]
            declare()


def declare() -> None:
    """Declare torchvision's operators where nobody else will."""
    versions = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
    if KEPT or "+cpu" not in versions[0] or "+cpu" in versions[1]:
        return
    import torch

    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    KEPT.append(library)


def install() -> None:
    """Be asked from now on."""
    sys.meta_path.insert(0, Declare())  # type: ignore[arg-type]
