"""Noise schedules of the published runs: timesteps, sigmas, noise augmentation, thresholding.

The tables and timestep lists come from diffusers' schedulers (imported when first used). Sampling itself runs
in sigma space, sigma = sqrt(1 - abar) / sqrt(abar) and x / sqrt(abar), where DPM-Solver++(2M) is one line of
any sampler library; numerics 2.8 shows that the two are the same update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

import torch
from torch import Tensor

SOLVERS: Mapping[str, Literal["dpm++", "ddpm"]] = {"DPMSolverMultistepScheduler": "dpm++", "DDPMScheduler": "ddpm"}
ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "_class_name": tuple(SOLVERS), "prediction_type": ("epsilon",), "num_train_timesteps": (1000,),
    "algorithm_type": ("dpmsolver++",), "solver_order": (2,), "solver_type": ("midpoint",), "use_karras_sigmas": (False,),
    "beta_schedule": ("squaredcos_cap_v2", "scaled_linear", "linear")}
RANGES: Mapping[str, tuple[float, float]] = {
    "beta_start": (0, 1), "beta_end": (0, 1), "dynamic_thresholding_ratio": (0, 1), "sample_max_value": (1, 1000),
    "lambda_min_clipped": (-float("inf"), 0)}
FIRST_ORDER_BELOW = 15  # runs of fewer steps end with a first-order update (numerics 2.8)


@dataclass(frozen=True)
class Schedule:
    """What a published `scheduler_config.json` says, as far as it changes numbers.

    `threshold_max` is the upper clamp of dynamic thresholding, None for none; `lambda_min_clipped` the log
    signal-to-noise ratio below which no timestep is used (numerics 2.8).
    """

    beta_schedule: Literal["squaredcos_cap_v2", "scaled_linear", "linear"]
    beta_start: float = 1e-4
    beta_end: float = 0.02
    lambda_min_clipped: float = -float("inf")
    threshold_max: float | None = None
    threshold_ratio: float = 0.95
    solver: Literal["dpm++", "ddpm"] = "dpm++"
    learned_variance: bool = False

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Schedule:
        """Read a published scheduler config. Raises ValueError in one sentence for a sampler Show-1 does not use."""
        check(config)
        kind = config["_class_name"]
        return cls(
            beta_schedule=config.get("beta_schedule", "linear"),
            beta_start=float(config.get("beta_start", 1e-4)),
            beta_end=float(config.get("beta_end", 0.02)),
            lambda_min_clipped=float(config.get("lambda_min_clipped", -float("inf"))),
            threshold_max=float(config.get("sample_max_value", 1.0)) if config.get("thresholding") else None,
            threshold_ratio=float(config.get("dynamic_thresholding_ratio", 0.995)),
            solver=SOLVERS[kind],
            learned_variance=kind == "DDPMScheduler" and config.get("variance_type") == "learned_range",
        )


def check(config: Mapping[str, Any]) -> None:
    """Refuse samplers that Show-1 does not use and numbers that are none of a schedule. Raises ValueError."""
    for key, allowed in ALLOWED.items():
        if (key in config or key == "_class_name") and config.get(key) not in allowed:
            raise ValueError(f"scheduler key {key} is {config.get(key)!r}; a Show-1 stage has {' or '.join(map(repr, allowed))}.")
    for key, (least, most) in RANGES.items():
        value = config.get(key, most)
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"scheduler key {key} is {value!r}; expected a number from {least} to {most}.")


def signal_variance(schedule: Schedule) -> Tensor:
    """abar of all 1000 train timesteps, float32: x_t = sqrt(abar) x_0 + sqrt(1 - abar) noise."""
    return ddpm_scheduler(schedule).alphas_cumprod


def sigma_table(schedule: Schedule) -> Tensor:
    """sigma = sqrt((1 - abar) / abar) of all 1000 train timesteps, float32, rising."""
    abar = signal_variance(schedule)
    return (1 - abar).sqrt() / abar.sqrt()


def published_timesteps(schedule: Schedule, steps: int, denoise: float = 1.0) -> list[int]:
    """Timesteps of the official run, falling; the last `denoise` part of them (numerics 2.8, 2.9).

    Raises ValueError for steps outside 1..1000 or denoise outside 0..1.
    """
    if not 1 <= steps <= 1000 or not 0.0 <= denoise <= 1.0:
        raise ValueError(f"steps is {steps} and denoise {denoise}; expected steps from 1 to 1000 and denoise from 0 to 1.")
    scheduler = ddpm_scheduler(schedule) if schedule.solver == "ddpm" else dpm_solver_scheduler(schedule)
    scheduler.set_timesteps(steps)
    timesteps = list(dict.fromkeys(scheduler.timesteps.tolist()))  # rounding can name one twice when steps are many
    return timesteps[max(len(timesteps) - int(steps * denoise), 0):]


def published_sigmas(schedule: Schedule, steps: int, denoise: float = 1.0) -> Tensor:
    """Sigmas of the official run, falling, with the one it ends on: DPM-Solver at timestep 0, not at 0 (numerics T2)."""
    table = sigma_table(schedule)
    end = torch.zeros(1) if schedule.solver == "ddpm" else table[:1]
    return torch.cat([table[published_timesteps(schedule, steps, denoise)], end])


def nearest_timestep(table: Tensor, sigma: float) -> int:
    """The timestep whose sigma in the table of all is nearest."""
    return int((table - sigma).abs().argmin())


def signal_scale(sigma: float) -> float:
    """sqrt(abar) at `sigma`: takes x from sigma space to the official scale, where signal and noise have unit power."""
    return (1 + sigma**2) ** -0.5


def ends_first_order(steps: int) -> bool:
    """Whether the official run's last update drops to first order (numerics 2.8). Counts the steps before `denoise`."""
    return steps < FIRST_ORDER_BELOW


def noised(clean: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """sqrt(abar) x_0 + sqrt(1 - abar) eps (paper eq. 1), where `signal` is abar, one number or one for each sample."""
    signal = signal.reshape(-1, *[1] * (clean.ndim - 1)).to(clean)
    return signal.sqrt() * clean + (1 - signal).sqrt() * noise


def add_noise(schedule: Schedule, clip: Tensor, noise: Tensor, timestep: int) -> Tensor:
    """Noise a clip to `timestep`, 0..999: the augmentation of the super-resolution conditions (numerics 2.5, 2.6)."""
    return noised(clip, noise, signal_variance(schedule)[timestep])


def dynamic_threshold(clip: Tensor, ratio: float, maximum: float) -> Tensor:
    """Clamp each frame of x0 (B, C, F, H, W) to its own `ratio` quantile s, 1 <= s <= maximum, and divide by s (numerics 2.8)."""
    if maximum <= 1.0:
        return clip.clamp(-1.0, 1.0)
    frames = clip.transpose(1, 2).flatten(2).float()  # (B, F, C*H*W)
    limit = quantile(frames.abs(), ratio).clamp(1.0, maximum)[:, None, :, None, None]  # (B, 1, F, 1, 1)
    return (clip.clamp(-limit, limit) / limit).to(clip.dtype)


def quantile(rows: Tensor, ratio: float) -> Tensor:
    """Linearly interpolated quantile along the last axis: sorted, which every device can."""
    position = ratio * (rows.shape[-1] - 1)
    below = int(position)
    above = min(below + 1, rows.shape[-1] - 1)
    rising = rows.sort(dim=-1).values
    return torch.lerp(rising[..., below], rising[..., above], position - below)


def dpm_solver_scheduler(schedule: Schedule) -> Any:
    """diffusers' DPM-Solver++(2M) for this schedule, ending at timestep 0 as the official run does (numerics T2)."""
    from diffusers import DPMSolverMultistepScheduler

    known = signature(DPMSolverMultistepScheduler.__init__).parameters
    end: dict[str, Any] = {"final_sigmas_type": "sigma_min"} if "final_sigmas_type" in known else {}  # else there is no other
    return DPMSolverMultistepScheduler(
        beta_schedule=schedule.beta_schedule, beta_start=schedule.beta_start, beta_end=schedule.beta_end,
        lambda_min_clipped=schedule.lambda_min_clipped, thresholding=schedule.threshold_max is not None,
        sample_max_value=schedule.threshold_max or 1.0, dynamic_thresholding_ratio=schedule.threshold_ratio,
        timestep_spacing="linspace", **end)


def ddpm_scheduler(schedule: Schedule) -> Any:
    """diffusers' DDPM for this schedule: the image model's sampler, and the betas of every schedule (numerics 2.9)."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule=schedule.beta_schedule, beta_start=schedule.beta_start, beta_end=schedule.beta_end,
        thresholding=schedule.threshold_max is not None, sample_max_value=schedule.threshold_max or 1.0,
        dynamic_thresholding_ratio=schedule.threshold_ratio, clip_sample=False, timestep_spacing="leading",
        variance_type="learned_range" if schedule.learned_variance else "fixed_small")
