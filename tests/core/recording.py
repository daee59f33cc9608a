"""Where the recording of the official code lies, and how far a result is from it."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import torch

DATA = Path(__file__).resolve().parents[1] / "data"
GOLDEN, PUBLISHED = DATA / "golden", DATA / "published"
# recorded calls of the networks, and whose they are
CALLS = [("base", "show-1-base"), ("base_5f", "show-1-base"), ("interp", "show-1-interpolation"), ("if2", "IF-II-L-v1.0"),
         ("sr1", "show-1-sr1"), ("sr2", "show-1-sr2")]


def error(result: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative distance in the L2 norm."""
    return float((result - expected).norm() / expected.norm())


# "1": every layer and every operation, which takes hours; else one of each kind of layer, and one of each place in the code
EVERY = os.environ.get("SHOW1_SWEEP") == "1"


def chosen(kinds: list[tuple[Hashable, Any]]) -> list[Any]:
    """The first of each kind, or all, of things with their kinds."""
    return [thing for _, thing in kinds] if EVERY else list(dict(reversed(kinds)).values())
