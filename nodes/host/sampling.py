"""Sampling a stage by the host's own samplers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import comfy.utils
import latent_preview
import node_helpers
import torch
from torch import Tensor

from ...show1_core import schedule as schedules
from ...show1_core.cascade import Condition
from ...show1_core.memory import OutOfMemory
from ...show1_core.models.finite import NotFinite
from ..run import Run
from .dtypes import compute_dtype
from .guider import options_of, sampled
from .model import MEMORY, NOISE_LEVEL
from .report import REPORT, Report
from .run_memory import RunMemory
from .samplers import ddpm_sampler, sampler_of, sigmas_of
from .text_over_time import TIMES

LARGEST_SEED = 2**64 - 1  # some of the host's samplers count one on


class Stopped(RuntimeError):
    """A run that came to nothing, said in one sentence."""


class HostSample:
    """`sample` for the cascade, run by the host's samplers; a stage calls it once for each of its `windows`."""

    def __init__(self, run: Run, progress: Callable[[int, Tensor, Tensor, int], None], windows: int = 1) -> None:
        self.run, self.progress, self.step = run, progress, 0
        self.windows, self.report = windows, Report()
        self.use(run.model)

    def use(self, model: Any) -> None:
        """Sample with this MODEL from now on; what another made of the text is forgotten."""
        self.model, self.memories = model, (RunMemory(), RunMemory())

    def __call__(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        began = generator.get_state()
        try:
            clip = self.once(noise, condition, start, generator)
            self.windows -= 1
            if self.windows == 0:
                self.report.write(self.model)
            return clip
        except OutOfMemory as error:
            raise RuntimeError(str(error)) from error  # the host shows users the names of classes that are not Python's
        except Stopped as stopped:
            safer = safer_model(self.model)
            if safer is None:
                raise RuntimeError(str(stopped)) from stopped
            logging.warning("Show-1: %s It is done again in %s.", stopped, compute_dtype(safer))
        self.use(safer)
        return self(noise, condition, start, generator.set_state(began))

    def once(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        """One attempt. Raises Stopped naming stage, step and layer on NaN or infinity."""
        run, model, options = self.run, self.model, options_of(self.model)
        options["transformer_options"][REPORT] = self.report
        schedule: schedules.Schedule = model.model.show1.schedule
        sigmas = sigmas_of(run, schedule)
        ddpm = run.sampler_name == "published" and schedule.solver == "ddpm"
        sampler = ddpm_sampler(run, schedule, generator, options) if ddpm else sampler_of(run)
        if start is None and float(sigmas[0]) < 0.9999 * float(model.model.model_sampling.sigma_max):
            # below its largest sigma the host starts from sigma * noise; pure noise at this timestep is a little more
            noise = noise / (schedules.signal_scale(float(sigmas[0])) * sigmas[0])
        texts = (conditioned(text, condition, memory)
                 for text, memory in zip((run.positive, run.negative), self.memories, strict=True))
        self.step = 0
        try:
            clip = sampled(model, options, noise, run.cfg, sampler, sigmas, *texts, progress=self.tick,
                           start=torch.zeros_like(noise) if start is None else start, seed=run.seed % LARGEST_SEED)
            if not bool(torch.isfinite(clip).all()):
                raise NotFinite("the sampler's result", of_network=False)
        except NotFinite as error:
            raise Stopped(f"{model.model.show1.stage.title} stopped in step {self.step + 1} of {len(sigmas) - 1}: {error}, "
                          f"computing in {compute_dtype(model)}; {self.advice(error)}") from error
        return clip * schedules.signal_scale(float(sigmas[-1]))

    def advice(self, error: NotFinite) -> str:
        """What may help against NaN or infinity."""
        if not error.of_network:
            return f"try another sampler than {self.run.sampler_name} with scheduler {self.run.scheduler}, or more steps."
        if compute_dtype(self.model) == torch.float16:
            return "load it with dtype bf16 or fp32."
        return "its file may be damaged, or a LoRA too strong."

    def tick(self, step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        """After every step: the bar moves on, and the host looks whether the user has cancelled."""
        self.step = step + 1
        self.progress(step, x0, x, steps)


def safer_model(model: Any) -> Any:
    """The same MODEL computing in a dtype of wider range; None when it does already, or when the user chose the dtype."""
    if model.model.show1_dtype != "auto" or compute_dtype(model) != torch.float16:
        return None
    safer = model.clone()
    safer.set_model_compute_dtype(torch.bfloat16 if mm.should_use_bf16(model.load_device) else torch.float32)
    return safer


def conditioned(conditioning: Any, condition: Condition, memory: RunMemory | None = None) -> Any:
    """CONDITIONING with the stage's frames and noise level added; `memory` keeps what all calls of a run share."""
    memory = memory if len(conditioning) == 1 else None  # several texts would need one each: the model makes them
    values = {"noise_concat": condition.frames, NOISE_LEVEL: condition.noise_level, TIMES: condition.times, MEMORY: memory}
    return node_helpers.conditioning_set_values(conditioning, {k: v for k, v in values.items() if v is not None})


def has_frames(values: dict[str, Any]) -> bool:
    """Whether a conditioning's values hold frames for the network, as `conditioned` adds them."""
    return "noise_concat" in values


def progress_bar(total: int) -> Any:
    """The host's progress bar; every update of it also looks whether the user has cancelled."""
    return comfy.utils.ProgressBar(total)


def previewer(model: Any) -> Any:
    """The host's previewer for a MODEL; None when the user wants no previews."""
    return latent_preview.get_previewer(model.load_device, model.model.latent_format)
