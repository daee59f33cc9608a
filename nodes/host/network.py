"""Our network under the host's calling convention: as few calls a step as memory allows, and no NaN or infinity."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import comfy.model_management as mm
import torch
from einops import rearrange
from torch import Tensor

from ...show1_core import memory
from ...show1_core.kernels.registry import noting, use_backend
from ...show1_core.kernels.requirements import weights_looked_at
from ...show1_core.models.finite import check_finite
from ...show1_core.models.unet import UNet
from .report import REPORT, Report
from .run_memory import RunMemory
from .weights import what_happens_to

VARIANCE = "show1_variance"  # among the transformer options: who wants the learned variance


class HostUNet(UNet):
    """Our UNet under the host's calling convention; learned variance goes to whoever asked for it."""

    backend = "auto"  # which kernels may serve
    shapes: Callable[[], Any] = nullcontext  # around a call; `many_shapes` where blocks are compiled

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **options: Any) -> HostUNet:
        """As usual, but for the host's `--force-channels-last`: that layout is for pictures, and some weights are of clips."""
        return super().to(*args, **options)

    @torch.compiler.disable  # it looks at numbers, and may take several attempts; what is compiled is the blocks inside
    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, transformer_options: dict[str, Any],
                noise_level: Tensor | None = None, run_memory: RunMemory | None = None, **_: Any) -> Tensor:
        halves = len(transformer_options["cond_or_uncond"])
        pictures = self.config.temporal and x.ndim == 4
        if pictures:  # a batch of them is one clip for each half of guidance
            frames = len(x) // halves
            x = rearrange(x, "(halves f) c h w -> halves c f h w", halves=halves)
            timesteps, context = timesteps[::frames], context[::frames]
        variance, channels = transformer_options.get(VARIANCE), self.config.sample_channels
        run_memory, report = run_memory or RunMemory(), transformer_options.get(REPORT) or Report()
        with use_backend(self.backend), weights_looked_at(what_happens_to), noting(report.served), self.shapes():
            sample, timestep, level = one_half(halves, x, timesteps, noise_level)
            call = memory.Call(super().forward, sample, timestep, run_memory.prepared(context, self.prepare), level,
                               channels if variance is None else self.config.out_channels)
            device = memory.Device(lambda: mm.get_free_memory(x.device), mm.soft_empty_cache)
            report.count(tuple(sample.shape), call.texts)
            out = run_memory.fallback.compute(call, memory.decide(self, call, device), device)
            check_finite(out, self, lambda: run_memory.fallback.compute(call, memory.decide(self, call, device), device))
        if variance is not None:
            variance.store(out[:, channels:], transformer_options["cond_or_uncond"])
        out = out[:, :channels]
        return rearrange(out, "halves c f h w -> (halves f) c h w") if pictures else out


def one_half(halves: int, *inputs: Tensor | None) -> tuple[Any, ...]:
    """Inputs (halves * B, ...) as one of their halves (B, ...) where these are the same, otherwise as they are.

    Guidance asks about one clip under several texts; what comes before the text is the same for each.
    """
    rows = [value.float().reshape(len(value), -1) for value in inputs if value is not None]
    first, *others = torch.cat(rows, dim=1).chunk(halves)
    if not others or not all(torch.equal(first, other) for other in others):
        return inputs
    return tuple(value if value is None else value[:len(first)] for value in inputs)
