"""What the processor can do, as far as PyTorch can tell."""

from __future__ import annotations

import torch

FAST_BF16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # what PyTorch knows of CPUs; older ones know less


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 itself (AVX512-BF16 or AMX)."""
    return any(getattr(torch.cpu, name, bool)() for name in FAST_BF16)
