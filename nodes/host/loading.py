"""The user's cancel while a network is made ready: its weights copied, as fast as the disk gives them, its blocks compiled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
from torch import nn


@contextmanager
def cancellable(network: nn.Module) -> Iterator[None]:
    """Inside, loading a state dict into this network stops before the next layer once the user has cancelled."""
    hooks = [layer.register_load_state_dict_pre_hook(stop_if_cancelled) for layer in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def stop_if_cancelled(*_: Any) -> None:
    """A hook of a layer: raises the host's own exception once the user has cancelled."""
    mm.throw_exception_if_processing_interrupted()
