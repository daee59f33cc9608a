"""The one plain sampler: guidance, DPM-Solver++(2M), DDPM with learned variance, each over `denoise(x, sigma)`.

Sampling runs in sigma space, x = x0 + sigma * noise, where a solver's step is a line or two (numerics 2.8). A host has samplers
of its own; pipeline, training, evaluation and tests use these.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from einops import repeat
from torch import Tensor

from . import memory
from .cascade import Condition
from .kernels import Selection, chosen_by
from .models.conditioning import PreparedText
from .models.unet import UNet
from .schedule import (
    Schedule,
    ddpm_scheduler,
    dynamic_threshold,
    ends_first_order,
    nearest_timestep,
    published_sigmas,
    published_timesteps,
    sigma_table,
    signal_scale,
)

log = logging.getLogger(__name__)
Denoise = Callable[[Tensor, float], Tensor]


class Progress(Protocol):
    """Told after every step: its number from 0, how many there are, and the clip as it is guessed then."""

    def __call__(self, step: int, steps: int, denoised: Tensor) -> None: ...


def silent(step: int, steps: int, denoised: Tensor) -> None:
    """Tells nobody."""


def guide(without: Tensor, along: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance of two noise predictions: eps_u + g (eps_c - eps_u) (numerics 2.2)."""
    return without + guidance * (along - without)


def dpm_solver(denoise: Denoise, x: Tensor, sigmas: Sequence[float], first_order_end: bool = False,
               progress: Progress = silent) -> Tensor:
    """DPM-Solver++(2M), from x at the first of the falling sigmas to the last, which is not 0 (numerics 2.8).

    `first_order_end`: the last update is of first order, as in the official runs of under 15 steps.
    """
    steps = len(sigmas) - 1
    before: Tensor | None = None
    for k, (now, after) in enumerate(zip(sigmas, sigmas[1:])):
        denoised = denoise(x, now)
        lead = denoised
        if before is not None and not (first_order_end and k == steps - 1):
            ratio = torch.log(torch.tensor(now / after)) / torch.log(torch.tensor(sigmas[k - 1] / now))
            lead = denoised + 0.5 * float(ratio) * (denoised - before)
        x = after / now * x + (1 - after / now) * lead
        before = denoised
        progress(k, steps, denoised)
    return x


def ddpm(denoise: Denoise, x: Tensor, schedule: Schedule, steps: int, timesteps: Sequence[int], variance: Callable[[], Tensor],
         generator: torch.Generator, progress: Progress = silent) -> Tensor:
    """Ancestral DDPM over the last `timesteps` of a `steps`-step schedule, down to sigma 0 (numerics 2.9).

    `denoise` returns x0 before thresholding, which the step does; `variance()` the prompt's variance channels of that call.
    Noise is drawn from `generator`, which continues the stage's stream. The step itself is diffusers'.
    """
    scheduler, table = ddpm_scheduler(schedule), sigma_table(schedule).tolist()
    scheduler.set_timesteps(steps)
    x = x * signal_scale(table[timesteps[0]])
    for k, timestep in enumerate(timesteps):
        sigma = table[timestep]
        scaled = x / signal_scale(sigma)
        noise = (scaled - denoise(scaled, sigma)) / sigma
        step = scheduler.step(torch.cat([noise, variance().to(noise)], dim=1), timestep, x, generator=generator)
        x = step.prev_sample
        progress(k, len(timesteps), step.pred_original_sample)
    return x


def thresholded(denoise: Denoise, schedule: Schedule) -> Denoise:
    """The clip x0 with the schedule's dynamic threshold, where it has one (numerics 2.8)."""
    if (most := schedule.threshold_max) is None:
        return denoise
    return lambda x, sigma: dynamic_threshold(denoise(x, sigma), schedule.threshold_ratio, most)


@dataclass
class NetworkDenoiser:
    """`denoise(x, sigma)` by a UNet: the guided clip x0, and `variance`, the prompt's other channels, of the last call.

    text: the negative's rows, then the prompts', or with guidance 1 the prompts' alone.
    """

    unet: UNet
    schedule: Schedule
    text: PreparedText
    condition: Condition
    guidance: float
    fallback: memory.Fallback = field(default_factory=memory.Fallback)
    variance: Tensor = field(default_factory=lambda: torch.empty(0))
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        self.device = memory.torch_memory(self.text.states.device)
        self.table = sigma_table(self.schedule)

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        prediction = self.predict(x * signal_scale(sigma), nearest_timestep(self.table, sigma))
        channels = x.shape[1]
        *without, along = prediction.float().chunk(self.text.rows // len(x))
        noise, self.variance = along[:, :channels], along[:, channels:]
        for negative in without:
            noise = guide(negative[:, :channels], noise, self.guidance)
        return x - sigma * noise

    def predict(self, x: Tensor, timestep: int) -> Tensor:
        """The network's answer to x in the official scale, (R*B, channels, F, H, W)."""
        unet, image, device = self.unet, not self.unet.config.temporal, self.text.states.device
        given = x if self.condition.frames is None else torch.cat([x, self.condition.frames.to(x)], dim=1)
        level = None if self.condition.noise_level is None else torch.tensor(self.condition.noise_level, device=device)
        given = (given.squeeze(2) if image else given).to(unet.dtype)
        channels = None if self.schedule.learned_variance else x.shape[1]
        time = torch.tensor(timestep, device=device)
        call = memory.Call(unet, given, time, self.text, level, channels, unet.config.takes_windows)
        with chosen_by(self.selection):
            out = self.fallback.compute(call, memory.decide(unet, call, self.device), self.device)
        return out.unsqueeze(2) if image else out


@dataclass(frozen=True)
class StageSampler:
    """Samples one stage without a host; called by the cascade as its `Sample`.

    positive (P, L, D) holds the states of the prompts, negative (1, L, D) those of the negative one; P divides the
    batch. `latent_scale` takes what comes in and goes out to the network's scale. `selection` is of all windows of the stage.
    """

    unet: UNet
    schedule: Schedule
    positive: Tensor
    negative: Tensor
    steps: int
    guidance: float
    denoise: float = 1.0
    latent_scale: float = 1.0
    progress: Progress = silent
    selection: Selection = field(default_factory=Selection)

    @torch.no_grad()
    def __call__(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        denoise = NetworkDenoiser(self.unet, self.schedule, self.texts(len(noise)), condition, self.guidance,
                                  selection=self.selection)
        said = self.selection.summary()
        clip = self.solved(denoise, noise, start, generator)
        if (kernels := self.selection.summary()) != said:  # windows after the first say nothing new
            log.info("Show-1: %s, %s on %s; kernels: %s.", memory.described(noise), self.unet.dtype, self.positive.device.type,
                     kernels)
        return clip

    def solved(self, denoise: NetworkDenoiser, noise: Tensor, start: Tensor | None, generator: torch.Generator) -> Tensor:
        """The clip by the schedule's solver."""
        timesteps = published_timesteps(self.schedule, self.steps, self.denoise)
        sigmas = published_sigmas(self.schedule, self.steps, self.denoise).tolist()
        x = self.begun(noise, start, sigmas[0])
        if self.schedule.solver == "ddpm":
            return ddpm(denoise, x, self.schedule, self.steps, timesteps, lambda: denoise.variance, generator, self.progress)
        x = dpm_solver(thresholded(denoise, self.schedule), x, sigmas, ends_first_order(self.steps), self.progress)
        return x * signal_scale(sigmas[-1]) / self.latent_scale

    def begun(self, noise: Tensor, start: Tensor | None, sigma: float) -> Tensor:
        """What sampling begins with: noise alone, or a clip with so much noise."""
        noise = noise.to(self.positive.device)
        return noise / signal_scale(sigma) if start is None else start.to(noise.device) * self.latent_scale + sigma * noise

    def texts(self, samples: int) -> PreparedText:
        """The negative's and the prompts' states for so many samples."""
        along = repeat(self.positive, "p l d -> (p s) l d", s=samples // len(self.positive))
        rows = along if self.guidance == 1.0 else torch.cat([self.negative.expand_as(along), along])
        return self.unet.prepare(rows.to(self.unet.dtype))
