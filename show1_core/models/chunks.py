"""Large features a few rows or pixels at a time, wherever these do not see each other.

On a GPU it saves memory and is done when that is short. On a CPU it is done with large tensors, for speed: their memory
comes from the system anew every time, page by page, which takes longer than what is computed in them; that of small
ones is used again while it is still in the cache. How large a chunk may be is decided outside, in `show1_core.memory`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar

import torch
from torch import Tensor

from ..kernels.requirements import within

CPU_LARGE, CPU_CHUNK = 16 * 2**20, 4 * 2**20  # bytes of a tensor; allocators map anew what is larger than about 32 MB
_most: ContextVar[int | None] = ContextVar("show1_chunk_bytes", default=None)


def chunk_bytes(most: int | None) -> AbstractContextManager[None]:
    """Inside this context, and in this thread or task alone, a chunk has at most so many bytes; None: as the device likes."""
    return within(_most, most)


def chunk_length(x: Tensor, length: int, growth: int = 1) -> int:
    """How many of the `length` rows or pixels that `x` has make a chunk, when inside it they are `growth` times as large."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return length
    most, size = _most.get(), x.numel() * x.element_size() * growth
    if most is None:
        most = CPU_CHUNK if x.device.type == "cpu" and size > CPU_LARGE else size
    if size <= most:
        return length
    return max(1, most * length // size)


def by_rows(function: Callable[..., Tensor], *inputs: Tensor, growth: int = 1) -> Tensor:
    """function(*inputs), whose every row (N, ...) depends on the same row of each input alone.

    The first input's size sets the chunk; inside the function features are `growth` times as large.
    """
    rows = len(inputs[0])
    step = chunk_length(inputs[0], rows, growth)
    if step >= rows:
        return function(*inputs)
    out = None
    for start in range(0, rows, step):
        part = function(*(value[start:start + step] for value in inputs))
        if out is None:
            out = room(part, (rows, *part.shape[1:]), tuple(range(part.ndim)))
        out[start:start + step] = part
    assert out is not None
    return out


def by_pixels(function: Callable[..., Tensor], *clips: Tensor, step: int) -> Tensor:
    """function(*clips) for clips (B, C, F, S), whose every pixel depends on the same pixel of each alone; frames outermost."""
    batch, _, frames, pixels = clips[0].shape
    out = None
    for start in range(0, pixels, step):
        part = function(*(clip[..., start:start + step] for clip in clips))
        if out is None:
            out = room(part, (batch, part.shape[1], frames, pixels), (0, 2, 1, 3))
        out[..., start:start + step] = part
    assert out is not None
    return out


def room(part: Tensor, shape: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """Memory for a result of which this is a part: channels last if the part's are, otherwise with axes in this order."""
    channels_last = part.ndim == 4 and part.stride(1) < part.stride(3)
    return torch.empty_permuted(shape, (0, 2, 3, 1) if channels_last else axes, dtype=part.dtype, device=part.device)
