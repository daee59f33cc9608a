"""The image model's sampler: DDPM with learned variance (numerics 2.9), in the form of a sigma-space sampler function.

The step itself is diffusers'. A guided denoiser hands out x0 alone, so the conditional half's variance takes a way
of its own, through a `VarianceTap` that the network's caller fills.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .schedule import Schedule, ddpm, signal_scale

Denoiser = Callable[..., Tensor]


class VarianceTap:
    """Catches the variance channels of the prompt's rows in each network call."""

    def __init__(self) -> None:
        self.variance: Tensor | None = None

    def store(self, variance: Tensor, rows: Sequence[int]) -> None:
        """variance: (len(rows) * B, C, ...); `rows` tells for each part whether it is the prompt's (0) or not (1)."""
        if 0 in rows:
            self.variance = variance.chunk(len(rows))[list(rows).index(0)].float()


def sample_ddpm(denoise: Denoiser, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any] | None = None,
                callback: Callable[[dict[str, Any]], None] | None = None, disable: bool | None = None, *,
                schedule: Schedule, timesteps: Sequence[int], steps: int, tap: VarianceTap, generator: torch.Generator) -> Tensor:
    """Run DDPM over `timesteps` of a `steps`-step schedule; x and the result are in sigma space, the result at sigma 0.

    `denoise(x, sigma)` returns the guided x0, not thresholded (the step does that), and fills `tap`. Step noise is
    drawn from `generator`, which continues the stage's stream.
    """
    scheduler = ddpm(schedule)
    scheduler.set_timesteps(steps)
    rows = x.new_ones([len(x)])
    x = x * signal_scale(float(sigmas[0]))
    for index, timestep in enumerate(timesteps):
        sigma = float(sigmas[index])
        scaled = x / signal_scale(sigma)
        denoised = denoise(scaled, sigma * rows, **(extra_args or {}))
        noise = (scaled - denoised) / sigma
        if tap.variance is None:
            raise RuntimeError("the image model was sampled without its variance channels; use the node's own sampler.")
        step = scheduler.step(torch.cat([noise, tap.variance.to(noise)], dim=1), timestep, x, generator=generator)
        if callback is not None:
            callback({"x": x, "i": index, "sigma": sigma, "denoised": step.pred_original_sample})
        x = step.prev_sample
    return x
