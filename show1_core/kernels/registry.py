"""Which implementation of a function serves which inputs.

A function lists its backends in order of preference; each declares what it asks of the inputs as requirements. Of those
whose requirements hold, the first that is sure serves, or under a `Selection` the one that proves itself in a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

AUTO, ANY = "auto", "any"
EAGER, TRITON, FLAT, PRODUCT, TRANSPOSED, LATE = "eager", "triton", "flat", "product", "transposed", "late"


class Requirement(Protocol):
    """One thing a backend asks of its inputs."""

    def reason_against(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs, by parameter name, do not meet it; None when they do."""
        ...


class Chooser(Protocol):
    """Who remembers the choices of a run, and makes those that are new."""

    known: dict[tuple[Any, ...], Callable[..., Any]]

    def choose(self, function: Function, inputs: Sequence[Any]) -> Backend:
        """The backend that is to serve these inputs from now on."""
        ...


_wanted: ContextVar[str] = ContextVar("show1_backend", default=AUTO)
_chooser: ContextVar[Chooser | None] = ContextVar("show1_chooser", default=None)


@dataclass(frozen=True)
class Backend:
    """One implementation. `run` takes the function's parameters by position.

    One that is not `sure` to be right and fast wherever its requirements hold serves after a trial, or by name.
    """

    name: str
    run: Callable[..., Any]
    requirements: tuple[Requirement, ...] = ()
    sure: bool = False

    def reasons_against(self, named: Mapping[str, Any]) -> Iterator[str]:
        """Every reason why these inputs do not suit."""
        return (reason for asked in self.requirements if (reason := asked.reason_against(named)) is not None)


@dataclass(frozen=True)
class Verdict:
    """What `explain` says of one backend; it serves when there are no reasons against it."""

    backend: str
    reasons: tuple[str, ...]

    @property
    def serves(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        return f"{self.backend}: {'; '.join(self.reasons) if self.reasons else 'serves'}"


class NoBackend(ValueError):
    """The backend asked for by name does not take these inputs."""


@dataclass(frozen=True)
class Function:
    """A function and its backends, the preferred one first, eager last; eager has no requirements."""

    name: str
    parameters: tuple[str, ...]
    backends: tuple[Backend, ...]

    def __call__(self, *inputs: Any) -> Any:
        if torch.compiler.is_compiling():  # the compiler fuses the reference itself; a choice would break its graph
            return self.backends[-1].run(*inputs)
        chooser = _chooser.get()
        if chooser is None:
            return self.choose(inputs).run(*inputs)
        key = (self.name, _wanted.get(), torch.is_grad_enabled(), *[trait(value) for value in inputs])
        run = chooser.known.get(key)
        if run is None:
            run = chooser.known[key] = chooser.choose(self, inputs).run
        return run(*inputs)

    def choose(self, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs without a trial. Raises NoBackend if `use_backend` names one that cannot."""
        able, wanted = self.able(inputs), _wanted.get()
        if wanted == AUTO and not any(isinstance(value, Tensor) and value.is_meta for value in inputs):
            return next((backend for backend in able if backend.sure), able[-1])
        return able[0]  # without memory nothing can be tried: what is preferred is what would serve

    def able(self, inputs: Sequence[Any]) -> tuple[Backend, ...]:
        """The backends that `use_backend` allows and these inputs suit, eager last. Raises NoBackend as `choose` does."""
        wanted, eager = _wanted.get(), self.backends[-1]
        if wanted == EAGER:
            return (eager,)
        named = dict(zip(self.parameters, inputs))
        able = tuple(backend for backend in self.backends if next(backend.reasons_against(named), None) is None)
        if wanted in (AUTO, ANY) or all(backend.name != wanted for backend in self.backends):
            return able
        chosen = tuple(backend for backend in able if backend.name == wanted)
        if not chosen:
            verdicts = " ".join(f"{verdict}." for verdict in explain(self, *inputs) if verdict.backend == wanted)
            raise NoBackend(f"{self.name} was asked to run on {wanted!r}, which does not take these inputs. {verdicts}")
        return chosen


def trait(value: Any) -> Any:
    """What a choice depends on, of one input."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, nn.Module):
        weight = value._parameters["weight"]
        return value, None if weight is None else (weight.dtype, weight.device)
    return value


def explain(function: Function, *inputs: Any) -> tuple[Verdict, ...]:
    """What each backend of a function says to these inputs: that it may serve, or every reason why not."""
    named = dict(zip(function.parameters, inputs))
    return tuple(Verdict(backend.name, tuple(backend.reasons_against(named))) for backend in function.backends)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Inside this context, and in this thread or task alone, every function that has a backend of that name runs on it.

    `eager` is the reference, for tests and bug reports; `auto` what is sure or proves itself; `any` the first that
    can serve, proved or not; another name raises where that one cannot serve.
    """
    names = (AUTO, ANY, EAGER, TRITON, FLAT, PRODUCT, TRANSPOSED)
    if name not in names:
        raise ValueError(f"there is no backend {name!r}; there are {', '.join(names)}.")
    token = _wanted.set(name)
    try:
        yield
    finally:
        _wanted.reset(token)


@contextmanager
def chosen_by(chooser: Chooser | None) -> Iterator[None]:
    """Inside this context `chooser` makes and remembers the choices; None: no trials, and nothing is remembered."""
    token = _chooser.set(chooser)
    try:
        yield
    finally:
        _chooser.reset(token)
