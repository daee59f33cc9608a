"""The host's sampling of a MODEL under options of one run alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import comfy.samplers
import comfy.utils
from comfy.model_patcher import create_model_options_clone
from torch import Tensor


def options_of(model: Any) -> dict[str, Any]:
    """A MODEL's options, to be changed for one run.

    A clone of the MODEL would have some too, but when it is thrown away the host unpins the weights that both share.
    """
    return create_model_options_clone(model.model_options)


def sampled(model: Any, options: dict[str, Any], noise: Tensor, cfg: float, sampler: Any, sigmas: Tensor, positive: Any,
            negative: Any, start: Tensor, progress: Callable[[int, Tensor, Tensor, int], None], seed: int) -> Tensor:
    """What the host's sampler makes of noise and a start under these options, with its bar on the console."""
    guider = comfy.samplers.CFGGuider(model)
    guider.model_options = options
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    clip = guider.sample(noise, start, sampler, sigmas, callback=progress, seed=seed,
                         disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED)
    return clip.to(mm.intermediate_device())
