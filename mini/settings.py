"""How the stages of the mini are sampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """Steps, guidance and, where a stage has them, the condition's noise level and the part of the schedule that is run."""

    steps: int
    guidance: float
    noise_level: int = 0
    denoise: float = 1.0


# Guidance of 1 halves the work; only the keyframes need more, the others are told nearly everything by their condition.
SETTINGS: dict[str, Setting] = {
    "keyframes": Setting(steps=25, guidance=5.0),
    "interpolation": Setting(steps=15, guidance=1.0),
    "first-frame": Setting(steps=15, guidance=1.0, noise_level=100),
    "sr1": Setting(steps=8, guidance=1.0, noise_level=100),
    "sr2": Setting(steps=10, guidance=1.0, denoise=0.3),
}
