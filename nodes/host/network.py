"""Our network under the host's calling convention: as few calls a step as memory allows, and no number that is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor

from ...show1_core.kernels.registry import use_backend
from ...show1_core.models.conditioning import PreparedText
from ...show1_core.models.rescue import LADDER, Rung, check_finite, descend
from ...show1_core.models.unet import UNet
from .text_memory import TextMemory

VARIANCE = "show1_variance"  # among the transformer options: who wants the learned variance


class HostUNet(UNet):
    """Our UNet under the host's calling convention; learned variance goes to whoever asked for it."""

    backend = "auto"  # which kernels may serve
    rung, shape = 0, None  # of the memory ladder, where the last call of that shape came out
    shapes: Callable[[], Any] = nullcontext  # around a call; `many_shapes` where blocks are compiled

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **options: Any) -> HostUNet:
        """As usual, but for the host's `--force-channels-last`: that layout is for pictures, and some weights are of clips."""
        return super().to(*args, **options)

    @torch.compiler.disable  # it looks at numbers, and may take several attempts; what is compiled is the blocks inside
    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, transformer_options: dict[str, Any],
                noise_level: Tensor | None = None, text_memory: TextMemory | None = None, **_: Any) -> Tensor:
        halves = len(transformer_options["cond_or_uncond"])
        if self.config.temporal and x.ndim == 4:  # a batch of pictures is one clip for each half of guidance
            frames = len(x) // halves
            clips = x.unflatten(0, (halves, frames)).transpose(1, 2)  # (halves, C, F, h, w)
            out = self.forward(clips, timesteps[::frames], context[::frames], transformer_options, noise_level, text_memory)
            return out.transpose(1, 2).flatten(0, 1)
        variance, channels = transformer_options.get(VARIANCE), self.config.sample_channels
        with use_backend(self.backend), self.shapes():
            text = context if text_memory is None else text_memory.prepared(context, self.prepare)
            calls = Calls(super().forward, (x, timesteps, context, noise_level), halves, text,
                          channels if variance is None else self.config.out_channels)
            self.rung = self.rung if calls.shape == self.shape else 0
            out, self.rung = descend(calls, self.rung, mm.soft_empty_cache, calls.describe)
            self.shape = calls.shape
            check_finite(out, self, lambda: calls(LADDER[self.rung]))
        if variance is not None:
            variance.store(out[:, channels:], transformer_options["cond_or_uncond"])
        return out[:, :channels]


@dataclass(frozen=True)
class Calls:
    """One step's work for the network: as few calls as memory allows."""

    network: Callable[..., Tensor]
    inputs: tuple[Tensor, Tensor, Tensor, Tensor | None]  # x, timesteps, context, noise level
    halves: int
    text: Tensor | PreparedText
    channels: int

    @property
    def shape(self) -> torch.Size:
        return self.inputs[0].shape

    @property
    def describe(self) -> str:
        """What the user asked for, as far as it takes memory."""
        return f"{self.shape[-1]}x{self.shape[-2]} with {self.shape[2] if len(self.shape) == 5 else 1} frames"

    def __call__(self, rung: Rung) -> Tensor:
        """The network's answer, (halves * B, channels, ...)."""
        x, timesteps, context, level = self.inputs
        if not rung.apart:
            x, timesteps, level = one_half(self.halves, x, timesteps, level)
            return self.network(x, timesteps, self.text, level, self.channels)
        rows = (slice(row, row + 1) for row in range(len(x)))
        return torch.cat([
            self.network(x[row], timesteps[row], context[row], None if level is None else level[row], self.channels)
            for row in rows])


def one_half(halves: int, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """Inputs (halves * B, ...) as one of their halves (B, ...) where these are the same, otherwise as they are.

    Guidance asks about one clip under several texts; what comes before the text is the same for each.
    """
    rows = [value.float().reshape(len(value), -1) for value in inputs if value is not None]
    first, *others = torch.cat(rows, dim=1).chunk(halves)
    if not others or not all(torch.equal(first, other) for other in others):
        return inputs
    return tuple(value if value is None else value[:len(first)] for value in inputs)
