"""torch.compile by region: each kind of block on its own, so that many blocks share what was compiled once.

A choice, and not the default: on CPUs it loses (benchmarks/RESULTS.md), and nobody has timed it on a GPU. `Blocks` is for
trials, `whole_calls`.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .attention import AddedTextAttention, SpatialTransformer
from .blocks import ResnetBlock
from .temporal import TemporalConv, TemporalTransformer
from .unet import UNet

REGIONS = (ResnetBlock, TemporalConv, TemporalTransformer, AddedTextAttention, SpatialTransformer)
log = logging.getLogger(__name__)
SHAPES = 64  # that the code of a kind of block may be compiled for: channels of every level, sizes, with a skip or without


def compile_regions(unet: UNet) -> None:
    """Let every block be compiled when it is first called. Raises ValueError when this machine has no compiler for it."""
    if (missing := missing_compiler()) is not None:
        raise ValueError(f"compile is set to blocks, but {missing}; install it or set compile to off.")
    for block in unet.modules():
        if isinstance(block, REGIONS):
            block.compile()


def missing_compiler() -> str | None:
    """What keeps this machine from compiling, if anything does."""
    if torch.cuda.is_available():
        return None if importlib.util.find_spec("triton") else "Triton is not installed"
    return None if any(map(shutil.which, ("g++", "clang++", "cl"))) else "there is no C++ compiler"


class Blocks:
    """A network's calls with compiled blocks; outside of these calls they run as written."""

    def __init__(self, unet: UNet) -> None:
        self.unet = unet

    def __call__(self, call: Callable[..., Tensor], inputs: list[Tensor]) -> Callable[..., Tensor]:
        """What does the same as `call`. Raises RuntimeError when this machine has no compiler."""
        if (missing := missing_compiler()) is not None:
            raise RuntimeError(missing)
        log.info("Show-1: blocks are compiled, which takes minutes the first time.")

        def compiled(*values: Tensor) -> Tensor:
            with many_shapes(), called_by(self.code):
                return call(*values)
        return compiled

    @cached_property
    def code(self) -> dict[nn.Module, Any]:
        """What to call each block by; it is compiled when it is first called."""
        return {block: torch.compile(block._call_impl) for block in self.unet.modules() if isinstance(block, REGIONS)}


@contextmanager
def as_written(network: nn.Module) -> Iterator[None]:
    """Inside, blocks run uncompiled: where hooks look at layers, and in training, whose recomputation a compiler would follow."""
    with called_by({block: None for block in network.modules() if block._compiled_call_impl is not None}):
        yield


@contextmanager
def called_by(code: dict[nn.Module, Any]) -> Iterator[None]:
    """Inside, each of these blocks is called by its compiled code, or as written where that is None."""
    before = {block: block._compiled_call_impl for block in code}
    try:
        for block, compiled in code.items():
            block._compiled_call_impl = compiled
        yield
    finally:
        for block, compiled in before.items():
            block._compiled_call_impl = compiled


@contextmanager
def many_shapes() -> Iterator[None]:
    """Inside, a block's code is compiled anew for as many shapes as a network has; PyTorch gives up after 8."""
    with torch._dynamo.config.patch({limit_name(torch._dynamo.config): SHAPES}):
        yield


def limit_name(config: object) -> str:
    """What PyTorch's compiler calls its limit of shapes: another name until 2.6."""
    return "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
