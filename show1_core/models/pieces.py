"""Large features a few rows or pixels at a time, wherever these do not see each other.

On a GPU it saves memory and is done when that is short. On a CPU it is done with large tensors, for speed: their memory
comes from the system anew every time, page by page, which takes longer than what is computed in them; that of small
ones is used again while it is still in the cache. The arithmetic is that of the whole, apart from the statistics of
norms over a clip, which are put together from those of its frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from ..kernels.requirements import Resident

CPU_LARGE, CPU_PIECE = 16 * 2**20, 4 * 2**20  # bytes of a tensor; allocators map anew what is larger than about 32 MB
_most: ContextVar[int | None] = ContextVar("show1_piece_bytes", default=None)


@contextmanager
def piece_bytes(most: int | None) -> Iterator[None]:
    """Inside this context, and in this thread or task alone, tensors of a piece have at most so many bytes; None: as usual."""
    token = _most.set(most)
    try:
        yield
    finally:
        _most.reset(token)


def at_once(x: Tensor, length: int, growth: int = 1) -> int:
    """How many of the `length` rows or pixels that `x` has make a piece, when inside it they are `growth` times as large."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return length
    most, size = _most.get(), x.numel() * x.element_size() * growth
    if most is None:
        most = CPU_PIECE if x.device.type == "cpu" and size > CPU_LARGE else size
    if size <= most:
        return length
    return max(1, most * length // size)


def by_rows(function: Callable[..., Tensor], *inputs: Tensor, size_of: Tensor | None = None, growth: int = 1) -> Tensor:
    """function(*inputs), whose every row (N, ...) depends on the same row of each input alone.

    size_of: what a piece's size is measured by, the first input by default; inside it is `growth` times as large.
    """
    rows = len(inputs[0])
    step = at_once(inputs[0] if size_of is None else size_of, rows, growth)
    if step >= rows:
        return function(*inputs)
    out = None
    for start in range(0, rows, step):
        part = function(*(value[start:start + step] for value in inputs))
        if out is None:
            out = part.new_empty((rows, *part.shape[1:]))
        out[start:start + step] = part
    assert out is not None
    return out


def by_pixels(function: Callable[..., Tensor], *clips: Tensor, step: int) -> Tensor:
    """function(*clips) for clips (B, C, F, S), whose every pixel depends on the same pixel of each alone; frames outermost."""
    batch, channels, frames, pixels = clips[0].shape
    out = clips[0].new_empty((batch, frames, channels, pixels)).transpose(1, 2)
    for start in range(0, pixels, step):
        out[..., start:start + step] = function(*(clip[..., start:start + step] for clip in clips))
    return out


def clip_norm(x: Tensor, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
    """What multiplies and what is added in a group norm with statistics over all frames of a clip: (B, C, 1, 1) each.

    x (B, C, F, S). The moments of single frames are put together in float64.
    """
    batch, channels, frames, pixels = x.shape
    rows = x.transpose(1, 2).flatten(0, 1)  # (B*F, C, S)
    step = at_once(rows, len(rows))
    moments = [
        torch.native_group_norm(part, None, None, len(part), channels, pixels, norm.num_groups, norm.eps)[1:]
        for part in rows.split(step)]
    mean, inverse = (torch.cat(values).double().unflatten(0, (batch, frames)) for values in zip(*moments, strict=True))
    center = mean.mean(1, keepdim=True)  # (B, 1, G)
    variance = (inverse**-2 - norm.eps + (mean - center) ** 2).mean(1)  # (B, G)
    wide = channels // norm.num_groups
    scale = (variance + norm.eps).rsqrt().repeat_interleave(wide, 1) * norm.weight  # (B, C)
    shift = norm.bias - center[:, 0].repeat_interleave(wide, 1) * scale
    return scale.to(x.dtype)[..., None, None], shift.to(x.dtype)[..., None, None]


def divisible(x: Tensor, norm: nn.Module) -> bool:
    """Whether `clip_norm` can do for this layer: its weights lie ready."""
    return Resident("norm").reason_against({"x": x, "norm": norm}) is None
