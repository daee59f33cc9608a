"""What is said of a MODEL, and mended, before a run, and what a run says of itself, also in core samplers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .areas import over_all_frames
from .context import idle_windows, window_all_clips
from .guidance import idle_ramp, show_frames
from .idle import COMPILED, idle_loras, other_noise
from .report import REPORT, Report

WHOLE_COMPILED = "torch_compile_kwargs"  # among the model's options: what TorchCompileModel leaves there


def reported(executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Around a run: somebody who says a thing once, also in core samplers, and what can be said or mended beforehand.

    Our own nodes bring a report along, which they write when all windows of a stage are done; that of others is written here.
    """
    options, patcher = executor.class_obj.model_options, executor.class_obj.model_patcher
    brought = options["transformer_options"].get(REPORT)
    report = options["transformer_options"][REPORT] = brought or Report()
    if WHOLE_COMPILED in options:
        report.warn(COMPILED)
    idle = idle_windows(options), idle_loras(patcher), other_noise(patcher), idle_ramp(options, noise.shape)
    for sentence in filter(None, idle):
        report.warn(sentence)
    show_frames(options, noise.shape)
    window_all_clips(options, len(noise))
    for texts in executor.class_obj.conds.values():
        over_all_frames(texts, noise.ndim - 2)
    clip = executor(noise, *args, **kwargs)
    if brought is None:
        report.write(patcher)
    patcher.model.warned.settle(report.told)
    return clip
