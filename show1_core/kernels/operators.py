"""Kernels as PyTorch operators: whoever counts, traces or runs without memory sees one operation with a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

NAMESPACE = "show1"


def operator(name: str, schema: str, run: Callable[..., Any], shape: Callable[..., Any]) -> Any:
    """The operator `show1::name`: `run` on GPUs (and CPUs, for Triton's interpreter), `shape` on tensors without memory.

    PyTorch keeps operators for the life of a process, so one that is there already, from another import of this pack, stays.
    """
    if not hasattr(getattr(torch.ops, NAMESPACE), name):
        full = f"{NAMESPACE}::{name}"
        torch.library.define(full, schema)
        torch.library.impl(full, ("cuda", "cpu"), run)
        torch.library.register_fake(full, shape)
    return getattr(getattr(torch.ops, NAMESPACE), name).default
