"""Sampling a stage by the host's own samplers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import comfy.k_diffusion.sampling
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import node_helpers
import torch
from torch import Tensor

from ...show1_core import schedule as schedules
from ...show1_core.cascade import Condition, Sample
from ...show1_core.ddpm import VarianceTap, sample_ddpm
from ..run import Run
from .model import MEMORY, NOISE_LEVEL, VARIANCE
from .text_memory import TextMemory

SAMPLERS: list[str] = ["published", *comfy.samplers.KSampler.SAMPLERS]
SCHEDULERS: list[str] = ["published", *comfy.samplers.KSampler.SCHEDULERS]


def host_sample(run: Run, progress: Callable[[int, Tensor, Tensor, int], None]) -> Sample:
    """`sample` for the cascade, run by the host's samplers; a stage calls it once a window."""
    schedule: schedules.Schedule = run.model.model.show1.schedule
    memories = TextMemory(), TextMemory()

    def sample(noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        model = run.model.clone()
        sigmas = sigmas_of(run, schedule)
        ddpm = run.sampler_name == "published" and schedule.solver == "ddpm"
        sampler = ddpm_sampler(run, schedule, generator, model) if ddpm else sampler_of(run)
        if start is None and float(sigmas[0]) < 0.9999 * float(model.model.model_sampling.sigma_max):
            # below its largest sigma the host starts from sigma * noise; pure noise at this timestep is a little more
            noise = noise / (schedules.signal_scale(float(sigmas[0])) * sigmas[0])
        texts = (conditioned(text, condition, memory)
                 for text, memory in zip((run.positive, run.negative), memories, strict=True))
        clip = comfy.sample.sample_custom(
            model, noise, run.cfg, sampler, sigmas, *texts, torch.zeros_like(noise) if start is None else start,
            callback=progress, disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=run.seed)
        if not bool(torch.isfinite(clip).all()):
            dtype = model.model.manual_cast_dtype or model.model.get_dtype()
            raise RuntimeError(f"{model.model.show1.stage.title} made values that are no numbers, computing in {dtype}; "
                               "load it with dtype bf16 or fp32.")
        return clip * schedules.signal_scale(float(sigmas[-1]))

    return sample


def sigmas_of(run: Run, schedule: schedules.Schedule) -> Tensor:
    """The sigmas the user's scheduler gives, falling; `denoise` keeps their last part, in each scheduler's own way."""
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
    """DPM-Solver++(2M) whose last update is of first order, which in sigma space is an Euler step (SPEC 2.8)."""
    last = len(sigmas) - 2
    x = comfy.k_diffusion.sampling.sample_dpmpp_2m(model, x, sigmas[:-1], extra_args, callback, disable)
    end = None if callback is None else lambda state: callback({**state, "i": last})
    return comfy.k_diffusion.sampling.sample_euler(model, x, sigmas[-2:], extra_args, end, disable)


def ddpm_sampler(run: Run, schedule: schedules.Schedule, generator: torch.Generator, model: Any) -> Any:
    """The image model's sampler; `model` is made to hand its variance channels over."""
    tap = VarianceTap()
    model.model_options["transformer_options"][VARIANCE] = tap
    timesteps = schedules.published_timesteps(schedule, run.steps, run.denoise)
    return comfy.samplers.KSAMPLER(partial(
        sample_ddpm, schedule=schedule, timesteps=timesteps, steps=run.steps, tap=tap, generator=generator))


def conditioned(conditioning: Any, condition: Condition, memory: TextMemory | None = None) -> Any:
    """CONDITIONING with the stage's frames and noise level added; `memory` keeps what all calls of a run share."""
    memory = memory if len(conditioning) == 1 else None  # several texts would need one each: the model makes them
    values = {"noise_concat": condition.frames, NOISE_LEVEL: condition.noise_level, MEMORY: memory}
    return node_helpers.conditioning_set_values(conditioning, {k: v for k, v in values.items() if v is not None})


def progress_bar(total: int) -> Any:
    """The host's progress bar; every update of it also looks whether the user has cancelled."""
    return comfy.utils.ProgressBar(total)


def previewer(model: Any) -> Any:
    """The host's previewer for a MODEL; None when the user wants no previews."""
    return latent_preview.get_previewer(model.load_device, model.model.latent_format)
