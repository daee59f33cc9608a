"""The user's cancel while weights are copied into a network, which takes as long as the disk needs to read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management as mm
from torch import nn


@contextmanager
def cancellable(network: nn.Module) -> Iterator[None]:
    """Inside, loading a state dict into this network stops before the next layer once the user has cancelled."""
    hooks = [layer.register_load_state_dict_pre_hook(lambda *_: mm.throw_exception_if_processing_interrupted())
             for layer in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
