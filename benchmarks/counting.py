"""What a call asks of a GPU, counted without one: its kernels, the bytes each moves, and its arithmetic.

Every operation that PyTorch dispatches is a kernel that reads its inputs once and writes its outputs once; views cost nothing,
and attention is one fused kernel. `unseen` is the one place that knows what PyTorch's CUDA kernels do beyond that.
Not modelled: what cuDNN copies to change a layout inside a convolution, what a cache saves, the Python between two kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from show1_core.kernels.group_norm import plan  # noqa: E402

aten, ours = torch.ops.aten, torch.ops.show1
NO_KERNEL = (aten.empty, aten.new_empty, aten.empty_like, aten.empty_strided, aten.lift_fresh)
FLOPS = {**flop_registry, ours.temporal_attention: lambda q, k, v, heads, **_: 4 * q.numel() * q.shape[1]}
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class Kernel:
    """One launch: the bytes it reads and writes, and its floating-point operations (a multiplication with addition is two)."""

    name: str
    bytes: int
    flops: int = 0


@contextmanager
def counting() -> Iterator[list[Kernel]]:
    """The kernels of everything that runs inside, in order.

    Run it under `torch.no_grad`: in inference mode PyTorch does not take composite operations apart before they are seen.
    """
    counter = Counter()
    with CudaLayouts(), counter, FusedAttention(counter.kernels):
        yield counter.kernels


class CudaLayouts(TorchDispatchMode):
    """Convolutions without memory leave their result in the layout that it has on CUDA."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        return out.contiguous(memory_format=layout(*args[:2])) if function.overloadpacket is aten.convolution else out


class Counter(TorchDispatchMode):
    """Counts whatever is dispatched and moves bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        packet = function.overloadpacket
        read, written = tensors((args, kwargs)), tensors(out)
        if packet in NO_KERNEL or is_view(function, read, written):
            return out
        formula = FLOPS.get(packet)
        flops = formula(*args, **kwargs, out_val=out) if formula else 0
        self.kernels.append(Kernel(packet.__name__, sum(map(size, read + written)), flops))
        self.kernels += unseen(packet, args, written[0])
        return out


class FusedAttention(TorchFunctionMode):
    """Attention as GPUs do it: scores never reach memory, and the heads of a token lie side by side in the result."""

    def __init__(self, kernels: list[Kernel]) -> None:
        super().__init__()
        self.kernels = kernels

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args[:3]  # (N, heads, L, D)
        rows, heads, length, _ = query.shape
        out = query.new_empty((rows, length, heads, value.shape[-1])).transpose(1, 2)
        moved = sum(map(size, (query, key, value, out)))
        self.kernels.append(Kernel("attention", moved, sdpa_flop_count(query.shape, key.shape, value.shape)))
        return out


def unseen(packet: Any, args: tuple[Any, ...], out: Tensor) -> Iterator[Kernel]:
    """The kernels that PyTorch launches on CUDA inside one operation, beyond its own.

    - A convolution by cuDNN has channels last where its input or its weights have, otherwise first; it copies what lies in
      another way, and adds the bias afterwards, in place.
    - A group norm first reads its input for the moments of each group, then joins those with weight and bias; the
      operation itself reads it again. (Its copy of strided inputs is dispatched, so it is seen.)
    - A layer norm copies a strided input.
    - Our own group norm reads groups that are too large for the caches twice, for their moments first.
    """
    if packet is aten.convolution:
        x, weight, bias = args[:3]
        for value in (x, weight):
            if not value.is_contiguous(memory_format=layout(x, weight)):
                yield Kernel("convolution: copy", 2 * size(value))
        if bias is not None:
            yield Kernel("convolution: bias", 2 * size(out))
    elif packet is aten.native_group_norm:
        yield Kernel("native_group_norm: moments", size(args[0]))
        yield Kernel("native_group_norm: factors", 0)
    elif packet is ours.group_norm and plan(args[0], args[1]).parts > 1:
        yield Kernel("group_norm: moments", size(args[0]))
    elif packet is aten.native_layer_norm and not args[0].is_contiguous():
        yield Kernel("native_layer_norm: copy", 2 * size(args[0]))


def layout(x: Tensor, weight: Tensor) -> torch.memory_format:
    """What cuDNN computes a convolution in."""
    last = CHANNELS_LAST[x.ndim]
    found = any(value.is_contiguous(memory_format=last) and not value.is_contiguous() for value in (x, weight))
    return last if found else torch.contiguous_format


def size(value: Tensor) -> int:
    """Bytes of a tensor in memory: what a stride of zero repeats lies there once."""
    return value.element_size() * prod(length for length, stride in zip(value.shape, value.stride()) if stride)


def tensors(values: Any) -> list[Tensor]:
    """All tensors in lists, tuples and dictionaries."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def is_view(function: Any, read: list[Tensor], written: list[Tensor]) -> bool:
    """Whether an operation only gives its input another shape."""
    storages = {value.untyped_storage()._cdata for value in read}
    return not function._schema.is_mutable and all(value.untyped_storage()._cdata in storages for value in written)
