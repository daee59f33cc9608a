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


# "1": every layer and every operation of every network, which takes hours; else one of each kind
EVERY = os.environ.get("SHOW1_SWEEP") == "1"


def chosen(kinds: list[tuple[Hashable, Any]], known: set[Hashable]) -> list[Any]:
    """The first of each kind that was not `known`, or all, of things with their kinds; known from now on."""
    first = dict(reversed(kinds))
    fresh = [thing for kind, thing in first.items() if kind not in known]
    known.update(first)
    return [thing for _, thing in kinds] if EVERY else fresh
