"""torch.compile by region: each kind of block on its own, so that many blocks share what was compiled once.

A choice, and not the default: on CPUs it loses (benchmarks/RESULTS.md), and nobody has timed it on a GPU.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .attention import AddedTextAttention, SpatialTransformer
from .blocks import ResnetBlock
from .temporal import TemporalConv, TemporalTransformer
from .unet import UNet

REGIONS = (ResnetBlock, TemporalConv, TemporalTransformer, AddedTextAttention, SpatialTransformer)
SHAPES = 64  # that the code of a kind of block may be compiled for: channels of every level, sizes, with a skip or without


def compile_regions(unet: UNet) -> None:
    """Let every block be compiled when it is first called. Raises ValueError when this machine has no compiler for it."""
    cuda = torch.cuda.is_available()
    compilers = [importlib.util.find_spec("triton")] if cuda else [shutil.which(name) for name in ("g++", "clang++", "cl")]
    if not any(compilers):
        raise ValueError(f"compile is set to blocks, but {'Triton is not installed' if cuda else 'there is no C++ compiler'}; "
                         "install it or set compile to off.")
    for block in unet.modules():
        if isinstance(block, REGIONS):
            block.compile()


@contextmanager
def as_written(unet: UNet) -> Iterator[None]:
    """Inside, blocks run uncompiled: for training, whose hooks and recomputation a compiler would have to follow."""
    compiled = {block: block._compiled_call_impl for block in unet.modules() if block._compiled_call_impl is not None}
    for block in compiled:
        block._compiled_call_impl = None
    try:
        yield
    finally:
        for block, call in compiled.items():
            block._compiled_call_impl = call


@contextmanager
def many_shapes() -> Iterator[None]:
    """Inside, a block's code is compiled anew for as many shapes as a network has; PyTorch gives up after 8."""
    with torch._dynamo.config.patch({limit_name(torch._dynamo.config): SHAPES}):
        yield


def limit_name(config: object) -> str:
    """What PyTorch's compiler calls its limit of shapes: another name until 2.6."""
    return "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
