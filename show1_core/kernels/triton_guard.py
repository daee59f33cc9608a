"""Triton where it can serve; elsewhere `jit` leaves a kernel a plain function that nothing calls.

Importing Triton takes most of a second, so a machine without a GPU goes without it. `TRITON_INTERPRET=1` in the
environment, Triton's own switch, runs the kernels on the CPU, statement by statement: slow, and good for tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch

INSTALLED = importlib.util.find_spec("triton") is not None
INTERPRETED = INSTALLED and os.environ.get("TRITON_INTERPRET") == "1"
DEVICES = ("cuda", "cpu") if INTERPRETED else ("cuda",)  # ROCm goes by the name of cuda, too

tl: Any = None
triton: Any = None
if INSTALLED and (INTERPRETED or torch.cuda.is_available()):
    triton, tl = importlib.import_module("triton"), importlib.import_module("triton.language")

constexpr: TypeAlias = Any  # marks the constants of a kernel: Triton reads the word


def obstacle() -> str | None:
    """What keeps Triton from working here, if anything does. It builds its launchers in C, at the first call."""
    if not INSTALLED:
        return "Triton is not installed"
    if triton is not None and int(triton.__version__.split(".")[0]) < 3:
        return f"Triton {triton.__version__} is older than 3.0"
    if INTERPRETED or os.name == "nt":  # for Windows it comes with a compiler
        return None
    if not os.environ.get("CC") and not any(map(shutil.which, ("gcc", "clang"))):
        return "Triton needs a C compiler, and there is no gcc or clang on the PATH"
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        return "Triton needs Python's headers (python3-dev), which are not installed"
    return None


OBSTACLE = obstacle()


def jit(function: Callable[..., Any]) -> Any:
    """`triton.jit`, or the function as it is."""
    return function if triton is None else triton.jit(function)


def operator(name: str, schema: str, run: Callable[..., Any], shape: Callable[..., Any]) -> Any:
    """The operator `show1::name`: `run` on GPUs (and CPUs, for Triton's interpreter), `shape` on tensors without memory.

    PyTorch keeps operators for the life of a process, so one that is there already, from another import of this pack, stays.
    """
    if not hasattr(torch.ops.show1, name):
        full = f"show1::{name}"
        torch.library.define(full, schema)
        torch.library.impl(full, ("cuda", "cpu"), run)
        torch.library.register_fake(full, shape)
    return getattr(torch.ops.show1, name).default


def cdiv(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def power_of_two(n: int) -> int:
    """The least power of two that is not below n; n >= 1."""
    return 1 << (n - 1).bit_length()
