"""Which sampler of the host's runs a stage, over which sigmas (comfyui 4b)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.k_diffusion.sampling
import comfy.samplers
import torch
from torch import Tensor

from ...show1_core import schedule as schedules
from ...show1_core.sampling import ddpm
from ..run import Run
from .network import VARIANCE

SAMPLERS: list[str] = ["published", *comfy.samplers.KSampler.SAMPLERS]
SCHEDULERS: list[str] = ["published", *comfy.samplers.KSampler.SCHEDULERS]


def sigmas_of(run: Run, schedule: schedules.Schedule) -> Tensor:
    """The sigmas the user's scheduler gives, falling; `denoise` keeps their last part, in each scheduler's own way.

    Raises ValueError when that leaves no step, or NaN: some of the host's schedulers cannot do a single step.
    """
    sigmas = run_sigmas(run, schedule)
    if len(sigmas) < 2:
        raise ValueError(f"steps is {run.steps} and denoise {run.denoise:g}, which leaves no step to take; raise one of them.")
    if not bool(torch.isfinite(sigmas).all()):
        raise ValueError(f"scheduler {run.scheduler} makes NaN or infinity when steps is {run.steps}; take more steps or another "
                         "scheduler.")
    return sigmas


def run_sigmas(run: Run, schedule: schedules.Schedule) -> Tensor:
    """As `sigmas_of`, not looked at."""
    if run.scheduler == "published":
        return schedules.published_sigmas(schedule, run.steps, run.denoise)
    steps = run.steps if run.denoise > 0.9999 else int(run.steps / run.denoise)
    sampling = run.model.get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, run.scheduler, steps)[-(run.steps + 1):].cpu()


def sampler_of(run: Run) -> Any:
    """The host's sampler of that name; `published` is DPM-Solver++(2M), with a first-order end in short runs."""
    if run.sampler_name != "published":
        return comfy.samplers.sampler_object(run.sampler_name)
    if run.scheduler == "published" and schedules.ends_first_order(run.steps):
        return comfy.samplers.KSAMPLER(dpmpp_2m_first_order_end)
    return comfy.samplers.sampler_object("dpmpp_2m")


def dpmpp_2m_first_order_end(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None,
                             disable: Any = None) -> Tensor:
    """DPM-Solver++(2M) whose last update is of first order, which in sigma space is an Euler step (numerics 2.8)."""
    last = len(sigmas) - 2
    x = comfy.k_diffusion.sampling.sample_dpmpp_2m(model, x, sigmas[:-1], extra_args, callback, disable)
    end = None if callback is None else lambda state: callback({**state, "i": last})
    return comfy.k_diffusion.sampling.sample_euler(model, x, sigmas[-2:], extra_args, end, disable)


class VarianceTap:
    """Catches the variance channels of the prompt's rows in each network call: the host's denoiser hands out x0 alone."""

    def __init__(self) -> None:
        self.variance: Tensor | None = None

    def store(self, variance: Tensor, rows: Sequence[int]) -> None:
        """variance: (len(rows) * B, C, ...); `rows` tells for each part whether it is the prompt's (0) or not (1)."""
        if 0 in rows:
            self.variance = variance.chunk(len(rows))[list(rows).index(0)].float()

    def caught(self) -> Tensor:
        """The variance of the last call. Raises RuntimeError when there was none."""
        if self.variance is None:
            raise RuntimeError("the image model was sampled without its variance channels; use the node's own sampler.")
        return self.variance


def ddpm_sampler(run: Run, schedule: schedules.Schedule, generator: torch.Generator,
                 options: dict[str, Any]) -> Any:
    """The image model's sampler; by the options of its run the model hands its variance channels over."""
    tap = VarianceTap()
    options["transformer_options"][VARIANCE] = tap
    timesteps = schedules.published_timesteps(schedule, run.steps, run.denoise)

    def sample(network: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any] | None = None, callback: Any = None,
               disable: bool | None = None) -> Tensor:
        def denoise(scaled: Tensor, sigma: float) -> Tensor:
            return network(scaled, sigma * scaled.new_ones(len(scaled)), **(extra_args or {}))

        def progress(step: int, steps: int, denoised: Tensor) -> None:
            if callback is not None:
                callback({"x": x, "i": step, "sigma": sigmas[step], "denoised": denoised})

        return ddpm(denoise, x, schedule, run.steps, timesteps, tap.caught, generator, progress)

    return comfy.samplers.KSAMPLER(sample)
