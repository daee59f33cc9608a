"""A group norm over all frames of a clip, and what follows it pixel by pixel, without the whole of it in memory.

Reference: numerics 3.5, 3.6 and T6. Statistics need the whole clip, what comes behind them does not: where a clip is too large
to be taken at once, the moments of its frames are put together first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..kernels import group_norm
from ..kernels.group_norm import activated
from ..kernels.requirements import resident
from .chunks import by_pixels, chunk_length


def norm_then(function: Callable[..., Tensor], x: Tensor, norm: Any, *others: Tensor, act: str = "none",
              growth: int = 1, added: Tensor | None = None) -> Tensor:
    """function(act(norm(x + added)), *others), for a function that treats every pixel on its own.

    x and others (B, C, F, H, W), added (C,); inside the function features are `growth` times as large as x.
    """
    pixels = x.shape[-2] * x.shape[-1]
    step = chunk_length(x, pixels, growth)
    if step >= pixels or resident("norm")({"x": x, "norm": norm}) is not None:
        return function(group_norm(x, norm, act, None, added), *others)
    x = x if added is None else x + added[:, None, None, None]
    scale, shift = clip_norm(x, norm)

    def part_of(part: Tensor, *rest: Tensor) -> Tensor:
        normed = activated(torch.addcmul(shift, part.to(shift.dtype), scale).to(part.dtype), act)
        return function(*(value[..., None] for value in (normed, *rest)))[..., 0]

    out = by_pixels(part_of, *(value.flatten(3) for value in (x, *others)), step=step)
    return out.unflatten(3, x.shape[-2:])


def clip_norm(x: Tensor, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
    """What multiplies and what is added in a group norm with statistics over all frames of a clip: (B, C, 1, 1) each.

    x (B, C, F, H, W); the result is in float32 where x is in a half type. The moments of single frames are put together
    in float64, where the device has it.
    """
    batch, channels, frames = x.shape[:3]
    pixels = x.shape[3] * x.shape[4]
    rows = x.transpose(1, 2).flatten(0, 1)  # (B*F, C, H, W)
    full = torch.promote_types(x.dtype, torch.float32)  # of what comes in: moments have its type, and are not to be rounded
    parts = (part.contiguous().to(full) for part in rows.split(chunk_length(rows, len(rows))))
    moments = [torch.native_group_norm(part, None, None, len(part), channels, pixels, norm.num_groups, norm.eps)[1:]
               for part in parts]
    exact = torch.float32 if x.device.type == "mps" else torch.float64
    mean, inverse = (torch.cat(values).to(exact).unflatten(0, (batch, frames)) for values in zip(*moments, strict=True))
    center = mean.mean(1, keepdim=True)  # (B, 1, G)
    variance = (inverse**-2 - norm.eps + (mean - center) ** 2).mean(1)  # (B, G)
    wide = channels // norm.num_groups
    scale = (variance + norm.eps).rsqrt().repeat_interleave(wide, 1) * norm.weight  # (B, C)
    shift = norm.bias - center[:, 0].repeat_interleave(wide, 1) * scale
    return scale.to(full)[..., None, None], shift.to(full)[..., None, None]
