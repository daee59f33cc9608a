"""Ways to sample a stage, to compare with the one it ships with: steps, sigmas, solver, and where guidance is computed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from show1_core.cascade import Condition  # noqa: E402
from show1_core.sampling import Denoise, NetworkDenoiser, StageSampler, dpm_solver, thresholded  # noqa: E402
from show1_core.schedule import (  # noqa: E402
    ends_first_order,
    published_sigmas,
    sigma_table,
    signal_scale,
)

RHO = 7.0  # of Karras' sigmas (arXiv 2206.00364, eq. 5)


def euler(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """First order, a call a step."""
    for now, after in zip(sigmas, sigmas[1:]):
        x = x + (after - now) / now * (x - denoise(x, now))
    return x


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Second order, two calls a step, one in the last (arXiv 2206.00364, algorithm 1)."""
    for now, after in zip(sigmas, sigmas[1:]):
        slope = (x - denoise(x, now)) / now
        ahead = x + (after - now) * slope
        if after > sigmas[-1]:
            slope = (slope + (ahead - denoise(ahead, after)) / after) / 2
        x = x + (after - now) * slope
    return x


def multistep(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """DPM-Solver++(2M) as the published runs take it."""
    return dpm_solver(denoise, x, sigmas, ends_first_order(len(sigmas) - 1))


def even_in_log(sigmas: Tensor) -> Tensor:
    """As many sigmas between the same ends, each the same part of the one before: `exponential` in ComfyUI."""
    return torch.logspace(float(sigmas[0].log10()), float(sigmas[-1].log10()), len(sigmas))


def karras(sigmas: Tensor) -> Tensor:
    """As many sigmas between the same ends, evenly in their seventh root: `karras` in ComfyUI."""
    return torch.linspace(float(sigmas[0]) ** (1 / RHO), float(sigmas[-1]) ** (1 / RHO), len(sigmas)) ** RHO


SOLVERS: dict[str, Callable[[Denoise, Tensor, Sequence[float]], Tensor]] = {"dpmpp_2m": multistep, "euler": euler, "heun": heun}
SPACINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "published": lambda sigmas: sigmas, "exponential": even_in_log, "karras": karras}


@dataclass(frozen=True)
class Way:
    """How a stage is sampled: its own solver as `published`, its own guidance as None, computed where sigma lies in `guided`."""

    steps: int
    denoise: float = 1.0
    solver: str = "published"
    spacing: str = "published"
    guidance: float | None = None
    guided: tuple[float, float] = (0.0, float("inf"))
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        (low, high), default = self.guided, Way(1).guided
        where = "" if self.guided == default else f", guided above sigma {low:g}" if high == default[1] else \
            f", guided from sigma {high:g} down to {low:g}"
        part = f", denoise {self.denoise:g}" if self.denoise < 1 else ""
        part += "" if self.guidance is None else f", guidance {self.guidance:g}"
        names = (self.solver, self.spacing, "bf16" if self.dtype == torch.bfloat16 else "published")
        other = "".join(f", {name}" for name in names if name != "published")
        return f"{self.steps} steps{part}{other}{where}"


@dataclass(frozen=True)
class WaySampler(StageSampler):
    """A stage sampled in some way.

    `passes`: of each call, how often a clip went through the network, which with guidance is twice; `seconds` of computing,
    of all threads together, of each run.
    """

    way: Way = field(default_factory=lambda: Way(1))
    passes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, sampler: StageSampler, way: Way) -> WaySampler:
        """The same stage, text and guidance in another way; the network is cast to the way's type."""
        network = sampler.unet.to(way.dtype)
        network.dtype = way.dtype
        guidance = sampler.guidance if way.guidance is None else way.guidance
        changed = {"unet": network, "steps": way.steps, "denoise": way.denoise, "guidance": guidance}
        return cls(**{**vars(sampler), **changed}, way=way)

    @torch.no_grad()
    def __call__(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        began = time.process_time()
        clip = self.sampled(noise, condition, start, generator)
        self.seconds.append(time.process_time() - began)
        return clip

    def sampled(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        """The stage's clip."""
        if self.way.solver == "published" and self.schedule.solver == "ddpm":
            self.passes.append(int(self.steps * self.denoise))
            return super().__call__(noise, condition, start, generator)
        least = float(sigma_table(self.schedule)[0])  # these solvers cannot end on 0
        sigmas = SPACINGS[self.way.spacing](published_sigmas(self.schedule, self.steps, self.denoise).clamp(min=least)).tolist()
        x = self.begun(noise, start, sigmas[0])
        solver = SOLVERS["dpmpp_2m" if self.way.solver == "published" else self.way.solver]
        denoise = thresholded(self.denoiser(len(noise), condition), self.schedule)
        return solver(denoise, x, sigmas) * signal_scale(sigmas[-1]) / self.latent_scale

    def denoiser(self, samples: int, condition: Condition) -> Denoise:
        """The clip x0 that the network guesses, guided where the way says so."""
        along = NetworkDenoiser(self.unet, self.schedule, replace(self, guidance=1.0).texts(samples), condition, 1.0)
        both = NetworkDenoiser(self.unet, self.schedule, self.texts(samples), condition, self.guidance)
        low, high = self.way.guided

        def denoise(x: Tensor, sigma: float) -> Tensor:
            chosen = both if low <= sigma <= high else along
            self.passes.append(chosen.text.rows // samples)
            return chosen(x, sigma)
        return denoise
