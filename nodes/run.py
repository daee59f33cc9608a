"""What the user set on a sampler node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """One run of a stage. `model`, `positive` and `negative` are the host's objects; `denoise` is in 0..1."""

    model: Any
    positive: Any
    negative: Any
    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    denoise: float = 1.0
