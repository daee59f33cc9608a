"""Triton where it can serve; elsewhere `jit` leaves a kernel a plain function that nothing calls.

Importing Triton takes most of a second, so a machine without a GPU goes without it. `TRITON_INTERPRET=1` in the
environment, Triton's own switch, runs the kernels on the CPU, statement by statement: slow, and good for tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

INSTALLED = importlib.util.find_spec("triton") is not None
INTERPRETED = INSTALLED and os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = ("cuda", "cpu") if INTERPRETED else ("cuda",)  # ROCm goes by the name of cuda, too

tl: Any = None
triton: Any = None
if INSTALLED and (INTERPRETED or torch.cuda.is_available()):
    triton, tl = importlib.import_module("triton"), importlib.import_module("triton.language")

if TYPE_CHECKING:
    constexpr: TypeAlias = Any
else:
    constexpr = Any if tl is None else tl.constexpr


def jit(function: Callable[..., Any]) -> Any:
    """`triton.jit`, or the function as it is."""
    return function if triton is None else triton.jit(function)


def cdiv(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def power_of_two(n: int) -> int:
    """The least power of two that is not below n; n >= 1."""
    return 1 << (n - 1).bit_length()
