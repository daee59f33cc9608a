"""Sampling without a host, to see what training has reached: the published samplers as plain loops.

A `Run` holds everything of one stage's sampling but the prompt's noise; it is called by `show1_core.cascade`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from show1_core.cascade import Condition
from show1_core.models.unet import UNet
from show1_core.schedule import (
    ddpm,
    dynamic_threshold,
    ends_first_order,
    published_sigmas,
    published_timesteps,
    signal_scale,
    signal_variance,
)
from show1_core.stages import Stage


@dataclass(frozen=True)
class Run:
    """One stage's model, recipe and prompts; calling it samples, as `cascade.Sample` says.

    without (1, L, D) holds the states of "", along (P, L, D) those of the prompts: one for the whole batch, or one
    for each equal part of it.
    """

    unet: UNet
    stage: Stage
    without: Tensor
    along: Tensor
    steps: int
    guidance: float
    denoise: float = 1.0
    latent_scale: float = 1.0

    @torch.no_grad()
    def __call__(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        if self.stage.schedule.solver == "ddpm":
            return self._ddpm(noise, condition, generator)
        return self._dpm_solver(noise, condition, start)

    def _predict(self, x: Tensor, timestep: int, condition: Condition) -> Tensor:
        """Guided noise guess, and variances where the model has them, from x in the variance-preserving scale."""
        given = x if condition.frames is None else torch.cat([x, condition.frames], dim=1)
        level = None if condition.noise_level is None else torch.tensor(condition.noise_level)
        image = not self.unet.config.temporal
        prompts = self.along.repeat_interleave(len(x) // len(self.along), dim=0)

        def call(text: Tensor) -> Tensor:
            out = self.unet(given.squeeze(2) if image else given, torch.tensor(timestep), text, level)
            return out.unsqueeze(2) if image else out

        along, channels = call(prompts), x.shape[1]
        if self.guidance == 1.0:
            return along
        without = call(self.without.expand_as(prompts))
        guided = without[:, :channels] + self.guidance * (along[:, :channels] - without[:, :channels])
        return torch.cat([guided, along[:, channels:]], dim=1)

    def _dpm_solver(self, noise: Tensor, condition: Condition, start: Tensor | None) -> Tensor:
        """DPM-Solver++(2M) in sigma space (numerics 2.8)."""
        schedule = self.stage.schedule
        times = published_timesteps(schedule, self.steps, self.denoise)
        sigmas = published_sigmas(schedule, self.steps, self.denoise).tolist()
        first = (1 + sigmas[0] ** 2) ** 0.5 * noise
        x = first if start is None else start * self.latent_scale + sigmas[0] * noise
        before: Tensor | None = None
        for k, timestep in enumerate(times):
            now, after = sigmas[k], sigmas[k + 1]
            guess = x - now * self._predict(x / (1 + now**2) ** 0.5, timestep, condition)[:, : x.shape[1]]
            if schedule.threshold_max is not None:
                guess = dynamic_threshold(guess, schedule.threshold_ratio, schedule.threshold_max)
            lead = guess
            last = k == len(times) - 1
            if before is not None and not (last and ends_first_order(self.steps)):
                ratio = torch.log(torch.tensor(now / after)) / torch.log(torch.tensor(sigmas[k - 1] / now))
                lead = guess + 0.5 * float(ratio) * (guess - before)
            x = after / now * x + (1 - after / now) * lead
            before = guess
        return x * signal_scale(sigmas[-1]) / self.latent_scale

    def _ddpm(self, noise: Tensor, condition: Condition, generator: torch.Generator) -> Tensor:
        """Ancestral sampling with learnt variances (numerics 2.9)."""
        scheduler = ddpm(self.stage.schedule)
        scheduler.set_timesteps(self.steps)
        x = noise
        for timestep in scheduler.timesteps:
            out = self._predict(x, int(timestep), condition)
            x = scheduler.step(out, timestep, x, generator=generator).prev_sample
        return x


def clean_guess(x: Tensor, noise: Tensor, timestep: int, stage: Stage) -> Tensor:
    """x_0 from x_t and a noise guess: (x_t - sqrt(1 - abar) eps) / sqrt(abar)."""
    signal = signal_variance(stage.schedule)[timestep]
    return (x - (1 - signal).sqrt() * noise) / signal.sqrt()
