"""How features lie in memory: channels last on GPUs that have kernels for it, otherwise as PyTorch makes them.

A convolution gives its result the layout of its weights, and every layer keeps that of its input, so this is decided here, once,
and no forward pass knows of it. On CPUs channels last are no faster (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import torch
from torch import nn

from ..kernels.requirements import OnTriton

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def lay_out(network: nn.Module, device: torch.device | str) -> None:
    """Put the weights of convolutions in the order that features have on `device`, where they will be used."""
    with torch.no_grad():
        reason = OnTriton()({"x": torch.empty(1, device=device)})
    if reason is not None:
        return
    for layer in network.modules():
        weight = layer._parameters.get("weight")
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)) and weight is not None:
            weight.data = weight.data.contiguous(memory_format=FORMATS[weight.ndim])
