"""A clip back to its noise, by the host's sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ...show1_core.cascade import Condition
from ...show1_core.tuning.inversion import invert, rising_sigmas
from .guider import options_of, sampled
from .run_memory import RunMemory
from .sampling import conditioned

POST_GUIDANCE = "sampler_post_cfg_function"  # among a model's options: there is no guidance, so nothing comes after it


def inverted(model: Any, positive: Any, clip: Tensor, steps: int, progress: Callable[[int, Tensor, Tensor, int], None]) -> Tensor:
    """The noise of a clip (1, 3, F, H, W), of unit power, along the published timesteps. Raises RuntimeError for NaN."""
    options = options_of(model)
    options.pop(POST_GUIDANCE, None)
    text = conditioned(positive, Condition(), RunMemory())
    noise = sampled(model, options, torch.zeros_like(clip), 1.0, comfy.samplers.KSAMPLER(walk),
                    rising_sigmas(model.model.show1.schedule, steps), text, text, clip, progress, 0)
    if not bool(torch.isfinite(noise).all()):
        raise RuntimeError("inversion made NaN or infinity; load the model with dtype bf16 or fp32, or look at its LoRA.")
    return noise


def walk(network: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any] | None = None, callback: Any = None,
         disable: bool | None = None) -> Tensor:
    """DDIM inversion as a sampler of the host's."""
    def denoise(x: Tensor, sigma: float) -> Tensor:
        return network(x, sigma * x.new_ones(len(x)), **(extra_args or {}))

    def progress(step: int, steps: int, denoised: Tensor) -> None:
        if callback is not None:
            callback({"x": x, "i": step, "sigma": sigmas[step + 1], "denoised": denoised})

    return invert(denoise, x, sigmas.tolist(), progress)
