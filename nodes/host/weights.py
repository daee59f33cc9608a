"""What the host does to a layer's weights on the way, which a kernel that reads them itself would miss."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

Weights = tuple[tuple[int, str | None], ...]  # of each layer: where its weight lies, and what happens to it on the way


def what_happens_to(layer: nn.Module) -> str | None:
    """What the host does to these weights inside the layer's forward, in words; None when they lie ready."""
    if getattr(layer, "comfy_cast_weights", False):
        return "are cast on the fly by the host"
    if getattr(layer, "weight_function", ()) or getattr(layer, "bias_function", ()):
        return "are patched on the fly by the host"
    return None


def with_weights(network: nn.Module) -> tuple[nn.Module, ...]:
    """The layers of a network that have weights."""
    return tuple(layer for layer in network.modules() if layer._parameters.get("weight") is not None)


def state_of(layers: Iterable[nn.Module]) -> Weights:
    """Where weights lie and what happens to them: the same as long as nothing is moved, patched or cast in another way."""
    weights = ((layer, layer._parameters["weight"]) for layer in layers)
    return tuple((weight.data_ptr(), what_happens_to(layer)) for layer, weight in weights if weight is not None)
