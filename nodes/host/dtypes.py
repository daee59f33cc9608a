"""The type that a MODEL's weights are kept in, and the one that its network computes in."""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management as mm
import torch

from ...show1_core.cpu import cpu_has_bf16

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "fp8_e4m3fn": torch.float8_e4m3fn}
SLOW_BF16 = ("dtype is bf16, for which this CPU has no instructions: weights are kept in bf16, which halves their memory, and "
             "the network computes in float32.")


def types_of(dtype: str, device: torch.device, supported: list[torch.dtype], parameters: int,
             found: torch.dtype) -> tuple[torch.dtype, torch.dtype | None]:
    """(kept in, computed in; None where that is the same) for a `dtype` of the loader, auto or one of DTYPES.

    found: what the file has. The host never computes in bf16 on a CPU; where the CPU can, asking for it is enough.
    """
    kept = mm.unet_dtype(device, parameters, supported, found) if dtype == "auto" else DTYPES[dtype]
    computed = mm.unet_manual_cast(kept, device, supported)
    if dtype == "bf16" and mm.is_device_cpu(device):
        if cpu_has_bf16():
            return kept, None
        logging.warning("Show-1: %s", SLOW_BF16)
    return kept, computed


def compute_dtype(model: Any) -> torch.dtype:
    """What a MODEL computes in."""
    return model.object_patches.get("manual_cast_dtype") or model.model.manual_cast_dtype or model.model.get_dtype()
