"""The second training of the enlarging stages: on what they are used for, which is to redraw what bicubic has enlarged.

A finished stage goes on from its weights. It sees the timesteps that its `denoise` begins with, and patches where edges are:
of the first training's patches, most show a plain sky or ground.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .latent import LatentSR
from .tasks import FirstFrame, PixelSR, SuperResolution, Window


def steepness(clip: Tensor) -> float:
    """How much neighbouring pixels of (B, C, F, H, W) differ, on average."""
    return float(clip.diff(dim=-1).abs().mean() + clip.diff(dim=-2).abs().mean())


class AtEdges(SuperResolution):
    """Learns from the patch with most edges out of a few, below the timestep `last`."""

    last: int
    tries = 3  # patches that are looked at for one that is learnt from

    def window(self, condition: Tensor, data: np.random.Generator) -> Window:
        windows = [super(AtEdges, self).window(condition, data) for _ in range(self.tries)]
        return max(windows, key=lambda window: steepness(condition[window]))

    def timesteps(self, count: int, noise: torch.Generator, last: int = 1000, late: float = 0.0) -> Tensor:
        return super().timesteps(count, noise, min(last, self.last), late)


class FirstFrameAtEdges(AtEdges, FirstFrame):
    """Stage 3a; it ships with `denoise` 0.7."""

    last = 750


class PixelSRAtEdges(AtEdges, PixelSR):
    """Stage 3; it ships with `denoise` 0.6."""

    last = 650


class LatentSREarly(LatentSR):
    """Stage 4; it ships with `denoise` 0.05, so half of what it sees is little noised; it stays an expert on all its range."""

    early = 0.5  # share of the timesteps below the first third of its range
    clips = 480

    def timesteps(self, count: int, noise: torch.Generator, last: int = 1000, late: float = 0.0) -> Tensor:
        timestep = super().timesteps(count, noise, last, late)
        chosen = torch.rand(count, generator=noise).to(timestep.device) < self.early
        return torch.where(chosen, timestep // 3, timestep)
