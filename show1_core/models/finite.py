"""NaN and infinity in what a network makes, and the name of the layer they come from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..kernels.registry import EAGER, use_backend
from .compile import as_written

FROM_OUTSIDE = "the input of conv_in"


class NotFinite(RuntimeError):
    """NaN or infinite values in a run; `module` is what they came from first, a layer where they are `of_network`."""

    def __init__(self, module: str, of_network: bool = True) -> None:
        super().__init__(f"{module} holds NaN or infinity")
        self.module, self.of_network = module, of_network


def check_finite(out: Tensor, network: nn.Module, again: Callable[[], Tensor]) -> None:
    """Raises NotFinite naming the first layer at fault, found by doing the call `again`, when `out` holds NaN or inf."""
    if not bool(torch.isfinite(out).all()):
        module = first_not_finite(network, again)
        raise NotFinite(module, of_network=module != FROM_OUTSIDE)


def first_not_finite(network: nn.Module, call: Callable[[], Tensor]) -> str:
    """The name of the first layer in `call` whose result holds NaN or inf; `the input` when none was sound before it.

    Kernels and compiled blocks stand back: they go around layers, so that nobody would look at these.
    """
    found: list[str] = []

    def hook(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, inputs: tuple[object, ...], out: object) -> None:
            if not found and isinstance(out, Tensor) and not bool(torch.isfinite(out).all()):
                given = [value for value in inputs if isinstance(value, Tensor) and value.is_floating_point()]
                sound = all(bool(torch.isfinite(value).all()) for value in given)
                found.append(name if sound else f"the input of {name}")
        return look

    handles = [module.register_forward_hook(hook(name)) for name, module in network.named_modules() if name]
    try:
        with use_backend(EAGER), as_written(network):
            call()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "a function between layers"
