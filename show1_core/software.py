"""What choices of kernels hold for beside the card: the software that runs them."""

from __future__ import annotations

import torch

from .kernels.triton_guard import triton


def software(pack: str = "") -> str:
    """One line of all that matters; with other software choices are made anew. pack: its version."""
    return f"torch {torch.__version__}, {driver()}, Triton {getattr(triton, '__version__', None)}, pack {pack}"


def driver() -> str:
    """The driver's release where NVIDIA's `pynvml` can tell it; else the CUDA version that it is for, which many share."""
    nvml = getattr(torch.cuda, "pynvml", None)
    if nvml is not None and torch.cuda.is_available():
        try:
            nvml.nvmlInit()
            return f"driver {nvml.nvmlSystemGetDriverVersion()}"
        except nvml.NVMLError:  # it has no other way to say that it has no answer
            pass
    return f"driver for CUDA {getattr(torch._C, '_cuda_getDriverVersion', int)()}"
