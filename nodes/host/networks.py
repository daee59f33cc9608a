"""Networks of others on the host's device, beside its own models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management as mm
import torch
from torch import nn

HEADROOM = 512 * 2**20  # bytes, for what a picture network computes with


@contextmanager
def on_device(network: nn.Module) -> Iterator[torch.device]:
    """Inside, the network is where the host computes; the host's own models make room for it. Afterwards it is back."""
    device = mm.get_torch_device()
    size = sum(weight.nbytes for weight in (*network.parameters(), *network.buffers()))
    mm.free_memory(size + HEADROOM, device)
    network.to(device)
    try:
        yield device
    finally:
        network.to("cpu")
