"""Which implementation of a function serves which inputs.

A function lists its backends in order of preference; each declares what it asks of the inputs as requirements. Of those
whose requirements hold, the first that is sure serves, or under a `Selection` the one that proves itself in a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .requirements import On, Requirement, within

if TYPE_CHECKING:
    from .selection import Selection

AUTO, ANY = "auto", "any"
EAGER, TRITON, FLAT, PRODUCT, TRANSPOSED, LATE = "eager", "triton", "flat", "product", "transposed", "late"
NAMES = (AUTO, ANY, EAGER, TRITON, FLAT, PRODUCT, TRANSPOSED)
TENSORS = frozenset((Tensor, nn.Parameter))


_wanted: ContextVar[str] = ContextVar("show1_backend", default=AUTO)
_selection: ContextVar[Selection | None] = ContextVar("show1_selection", default=None)


@dataclass(frozen=True)
class Backend:
    """One implementation. `run` takes the function's parameters by position.

    One that is not `sure` to be right and fast wherever its requirements hold serves after a trial, or by name.
    """

    name: str
    run: Callable[..., Any]
    requirements: tuple[Requirement, ...] = ()
    sure: bool = False


class NoBackend(ValueError):
    """The backend asked for by name does not take these inputs."""


@dataclass(frozen=True)
class Function:
    """A function and its backends, the preferred one first, eager last; eager has no requirements.

    Choices are remembered by layer, and by shapes and strides of the first input and strides of others; on devices for which
    there is eager alone, by device.
    """

    name: str
    parameters: tuple[str, ...]
    backends: tuple[Backend, ...]

    @cached_property
    def devices(self) -> frozenset[str] | None:
        """The kinds of devices for which there is more than eager; None: all."""
        kinds = [[one.kinds for one in backend.requirements if isinstance(one, On)] for backend in self.backends[:-1]]
        return frozenset(chain(*chain(*kinds))) if all(kinds) else None

    def __call__(self, *inputs: Any) -> Any:
        if torch.compiler.is_compiling():  # the compiler fuses the reference itself; a choice would break its graph
            return self.backends[-1].run(*inputs)
        selection, x = _selection.get(), inputs[0]
        if selection is None:
            return self.choose(inputs).run(*inputs)
        key: tuple[Any, ...] = (self.name, _wanted.get(), x.device.type)
        if self.devices is None or x.device.type in self.devices:
            key = (*key, torch.is_grad_enabled(), x.shape, x.stride(), x.dtype,
                   *[value.stride() if value.__class__ in TENSORS else value for value in inputs[1:]])
        run = selection.known.get(key)
        if run is None:
            run = selection.known[key] = selection.choose(self, inputs).run
        return run(*inputs)

    def choose(self, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs without a trial. Raises NoBackend if `use_backend` names one that cannot."""
        able = self.able(inputs)
        if _wanted.get() == AUTO and not inputs[0].is_meta:
            return next((backend for backend in able if backend.sure), able[-1])
        return able[0]  # without memory nothing can be tried: what is preferred is what would serve

    def able(self, inputs: Sequence[Any]) -> tuple[Backend, ...]:
        """The backends that `use_backend` allows and these inputs suit, eager last. Raises NoBackend as `choose` does."""
        wanted, named = _wanted.get(), dict(zip(self.parameters, inputs))
        if wanted == EAGER:
            return self.backends[-1:]
        able = tuple(backend for backend in self.backends if all(reason(named) is None for reason in backend.requirements))
        if wanted in (AUTO, ANY) or all(backend.name != wanted for backend in self.backends):
            return able
        if chosen := tuple(backend for backend in able if backend.name == wanted):
            return chosen
        reasons = "; ".join(explain(self, *inputs)[wanted])
        raise NoBackend(f"{self.name} was asked to run on {wanted!r}, which does not take these inputs: {reasons}.")


def explain(function: Function, *inputs: Any) -> dict[str, tuple[str, ...]]:
    """Every reason against each backend of a function on these inputs; none where it may serve."""
    named = dict(zip(function.parameters, inputs))
    return {backend.name: tuple(found for reason in backend.requirements if (found := reason(named)) is not None)
            for backend in function.backends}


def use_backend(name: str) -> AbstractContextManager[None]:
    """Inside this context, and in this thread or task alone, every function that has a backend of that name runs on it.

    `eager` is the reference, for tests and bug reports; `auto` what is sure or proves itself; `any` the first that
    can serve, proved or not; another name raises where that one cannot serve.
    """
    if name not in NAMES:
        raise ValueError(f"there is no backend {name!r}; there are {', '.join(NAMES)}.")
    return within(_wanted, name)


def chosen_by(selection: Selection) -> AbstractContextManager[None]:
    """Inside this context `selection` makes and remembers the choices; otherwise nothing is tried or remembered."""
    return within(_selection, selection)
