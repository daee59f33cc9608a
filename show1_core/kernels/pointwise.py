"""What is done to every element on its own: the sum at the end of a block, and the gate of a feed-forward.

Reference: numerics 3.4 (the sum of a resnet, over its scale), 3.5, and 3.6 (the gated linear unit).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .registry import EAGER, TRITON, Backend, Function
from .requirements import OnTriton, alike
from .triton_guard import cdiv, constexpr, jit, operator, power_of_two, tl

BLOCK = 4096  # elements a program
WIDE = 512  # of these side by side


def residual_sum(x: Tensor, h: Tensor, bias: Tensor | None = None, scale: float = 1.0) -> Tensor:
    """(x + h + bias) / scale; x and h (N, C, ...), bias (C,): what a convolution has left out, or None."""
    return RESIDUAL_SUM(x, h, bias, scale)


def gated(x: Tensor) -> Tensor:
    """value * gelu(gate) of x (..., 2C), value before gate: (..., C)."""
    return GATED(x)


def eager_sum(x: Tensor, h: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The reference."""
    y = x + (h if bias is None else h + bias.reshape(-1, *(1,) * (h.ndim - 2)))
    return y if scale == 1.0 else y / scale


def eager_gated(x: Tensor) -> Tensor:
    """The reference."""
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


@jit
def _sum(x, h, bias, out, factor, N, C, BLOCK: constexpr, BIAS: constexpr):
    """Elements as they follow each other in memory, channels innermost."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = tl.load(x + i, mask=i < N, other=0.0).to(tl.float32) + tl.load(h + i, mask=i < N, other=0.0).to(tl.float32)
    if BIAS:
        y += tl.load(bias + i % C).to(tl.float32)
    tl.store(out + i, (y * factor).to(out.dtype.element_ty), mask=i < N)


@jit
def _gated(x, out, M, C, BR: constexpr, BC: constexpr):
    """A tile of rows and channels."""
    r = tl.program_id(0) * BR + tl.arange(0, BR)[:, None]
    c = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    mask = (r < M) & (c < C)
    value = tl.load(x + r * 2 * C + c, mask=mask, other=0.0).to(tl.float32)
    gate = tl.load(x + r * 2 * C + C + c, mask=mask, other=0.0).to(tl.float32)
    gate = 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(out + r * C + c, (value * gate).to(out.dtype.element_ty), mask=mask)


def launch_sum(x: Tensor, h: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """The kernel; the result lies in memory as x and h do."""
    out = torch.empty_like(x)
    with torch.cuda.device_of(x):
        _sum[(cdiv(x.numel(), BLOCK),)](x, h, x if bias is None else bias, out, 1.0 / scale, x.numel(), x.shape[1],
                                        BLOCK=BLOCK, BIAS=bias is not None)
    return out


def launch_gated(x: Tensor) -> Tensor:
    """The kernel."""
    channels = x.shape[-1] // 2
    out = x.new_empty((*x.shape[:-1], channels))
    rows, wide = out.numel() // channels, min(WIDE, power_of_two(channels))
    with torch.cuda.device_of(x):
        _gated[(cdiv(rows, BLOCK // wide), cdiv(channels, wide))](x, out, rows, channels, BR=BLOCK // wide, BC=wide)
    return out


SUM = operator("residual_sum", "(Tensor x, Tensor h, Tensor? bias, float scale) -> Tensor", launch_sum,
               lambda x, *others: torch.empty_like(x))
GATE = operator("gated", "(Tensor x) -> Tensor", launch_gated, lambda x: x.new_empty((*x.shape[:-1], x.shape[-1] // 2)))

RESIDUAL_SUM = Function("residual_sum", ("x", "h", "bias", "scale"), (
    Backend(TRITON, SUM, (OnTriton(), alike("x", "h"))),
    Backend(EAGER, eager_sum),
))
GATED = Function("gated", ("x",), (
    Backend(TRITON, GATE, (OnTriton(), lambda inputs: None if inputs["x"].is_contiguous() else
                                         f"x has strides {inputs['x'].stride()}: it is not contiguous")),
    Backend(EAGER, eager_gated),
))
