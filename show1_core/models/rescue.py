"""What is done when a network call does not come out: less memory at a time, or the name of the layer that went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .pieces import piece_bytes

MEGABYTE = 2**20
FROM_OUTSIDE = "the input of conv_in"


class NotFinite(RuntimeError):
    """NaN or infinite values in a run; `module` is what they came from first, a layer where they are `of_network`."""

    def __init__(self, module: str, of_network: bool = True) -> None:
        super().__init__(f"{module} holds NaN or infinity")
        self.module, self.of_network = module, of_network


@dataclass(frozen=True)
class Rung:
    """A way of doing a call with less memory: bytes of a tensor in a piece, and each row of the batch on its own."""

    most: int | None
    apart: bool


LADDER = (Rung(None, False), Rung(32 * MEGABYTE, False), Rung(8 * MEGABYTE, True), Rung(MEGABYTE, True))


class TooLarge(RuntimeError):
    """Memory does not suffice even on the last rung."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} do not fit into memory even in pieces, one sample at a time; try a quarter of it: half the "
                         "width and height. Other programs and models in the same memory count too.")


def descend(attempt: Callable[[Rung], Tensor], first: int, relief: Callable[[], None], what: str) -> tuple[Tensor, int]:
    """The result of `attempt` on the first rung, from number `first` on, whose memory suffices, and that rung's number.

    `relief` is called after each failure, to free what it left behind. Raises TooLarge, which says `what`, when none does.
    """
    for number in range(first, len(LADDER)):
        try:
            with piece_bytes(LADDER[number].most):
                return attempt(LADDER[number]), number
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        relief()  # outside the handler: the error holds on to everything the attempt had made
    raise TooLarge(what)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short; on CPUs PyTorch has no class of its own for it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def check_finite(out: Tensor, network: nn.Module, again: Callable[[], Tensor]) -> None:
    """Raises NotFinite naming the first layer at fault, found by doing the call `again`, when `out` holds NaN or inf."""
    if not bool(torch.isfinite(out).all()):
        module = first_not_finite(network, again)
        raise NotFinite(module, of_network=module != FROM_OUTSIDE)


def first_not_finite(network: nn.Module, call: Callable[[], Tensor]) -> str:
    """The name of the first layer in `call` whose result holds NaN or inf; `the input` when none was sound before it."""
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
        call()
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "a function between layers"
