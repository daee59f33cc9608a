"""Which implementation of a function serves which inputs.

A function lists its backends in order of preference; each declares what it asks of the inputs as requirements. Of those
whose requirements hold, the first that is sure serves, or under a `Selection` the one that proves itself in a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .requirements import Requirement, within

if TYPE_CHECKING:
    from .selection import Selection

AUTO, ANY, EAGER, TRITON = "auto", "any", "eager", "triton"

_wanted: ContextVar[str] = ContextVar("show1_backend", default=AUTO)
_selection: ContextVar[Selection | None] = ContextVar("show1_selection", default=None)


@dataclass(frozen=True)
class Backend:
    """One implementation. `run` takes the function's parameters by position.

    One that is not `sure` to be right and fast wherever its requirements hold serves after a trial, or as any.
    """

    name: str
    run: Callable[..., Any]
    requirements: tuple[Requirement, ...] = ()
    sure: bool = False


@dataclass(frozen=True)
class Function:
    """A function and its backends, the preferred one first, eager last; eager has no requirements.

    Choices are remembered by layer, shape and strides of the first input, and strides of others.
    """

    name: str
    parameters: tuple[str, ...]
    backends: tuple[Backend, ...]

    def __call__(self, *inputs: Any) -> Any:
        if torch.compiler.is_compiling():  # the compiler fuses the reference itself; a choice would break its graph
            return self.backends[-1].run(*inputs)
        selection, x = _selection.get(), inputs[0]
        if selection is None:
            return self.choose(inputs).run(*inputs)
        key = (self.name, _wanted.get(), torch.is_grad_enabled(), x.device.type, x.dtype, x.shape, x.stride(),
               *[value.stride() if isinstance(value, Tensor) else value for value in inputs[1:]])
        run = selection.known.get(key)
        if run is None:
            run = selection.known[key] = selection.choose(self, inputs).run
        return run(*inputs)

    def choose(self, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs without a trial."""
        able = self.able(inputs)
        if _wanted.get() == AUTO and not inputs[0].is_meta:
            return next((backend for backend in able if backend.sure), able[-1])
        return able[0]  # without memory nothing can be tried: what is preferred is what would serve

    def able(self, inputs: Sequence[Any]) -> tuple[Backend, ...]:
        """The backends that nothing speaks against, eager last."""
        return tuple(backend for backend in self.backends if next(self.against(backend, inputs), None) is None)

    def against(self, backend: Backend, inputs: Sequence[Any]) -> Iterator[str]:
        """What speaks against a backend on these inputs."""
        if _wanted.get() == EAGER and backend.name != EAGER:
            yield "eager is asked for"
        named = dict(zip(self.parameters, inputs))
        yield from filter(None, (requirement(named) for requirement in backend.requirements))


def explain(function: Function, *inputs: Any) -> dict[str, tuple[str, ...]]:
    """Every reason against each backend of a function on these inputs; none where it may serve."""
    return {backend.name: tuple(function.against(backend, inputs)) for backend in function.backends}


def use_backend(name: str) -> AbstractContextManager[None]:
    """Which backends serve inside this context, and in this thread or task alone.

    `eager`: the reference, for tests and bug reports; `auto`: what is sure or proves itself; `any`: the first that can serve,
    proved or not.
    """
    if name not in (AUTO, ANY, EAGER):
        raise ValueError(f"backends are chosen by {AUTO}, {ANY} or {EAGER}, not by {name!r}.")
    return within(_wanted, name)


def chosen_by(selection: Selection) -> AbstractContextManager[None]:
    """Inside this context `selection` makes and remembers the choices; otherwise nothing is tried or remembered."""
    return within(_selection, selection)
