"""Where the recording of the official code lies, and how far a result is from it."""

from __future__ import annotations

from pathlib import Path

import torch

DATA = Path(__file__).resolve().parents[1] / "data"
GOLDEN, PUBLISHED = DATA / "golden", DATA / "published"


def error(result: torch.Tensor, expected: torch.Tensor) -> float:
    """Relative distance in the L2 norm."""
    return float((result - expected).norm() / expected.norm())
