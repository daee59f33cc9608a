"""Which implementation of a function serves which inputs.

A function lists its backends in order of preference; each declares what it asks of the inputs as requirements. The first
whose requirements all hold is called. Nothing is tried out: an error inside a backend is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

AUTO, ANY, EAGER, TRITON, CPU = "auto", "any", "eager", "triton", "cpu"
_wanted: ContextVar[str] = ContextVar("show1_backend", default=AUTO)
_served: ContextVar[dict[str, set[str]] | None] = ContextVar("show1_served", default=None)


class Requirement(Protocol):
    """One thing a backend asks of its inputs."""

    def describe(self) -> str:
        """The demand, as in a table of what runs where."""
        ...

    def reason_against(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs, by parameter name, do not meet it; None when they do."""
        ...


@dataclass(frozen=True)
class Backend:
    """One implementation. `run` takes the function's parameters by position.

    One that nobody has `measured` on the hardware it is for serves only when it, or any, is asked for by name.
    """

    name: str
    run: Callable[..., Tensor]
    requirements: tuple[Requirement, ...] = ()
    measured: bool = True

    def takes(self, wanted: str) -> bool:
        """Whether this backend may serve under `use_backend(wanted)`."""
        return wanted in (self.name, ANY) or (wanted == AUTO and self.measured)


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

    def __call__(self, *inputs: Any) -> Tensor:
        backend = self.choose(inputs)
        if torch.compiler.is_compiling():
            return backend.run(*inputs)
        if (served := _served.get()) is not None:
            served.setdefault(self.name, set()).add(backend.name)
        return backend.run(*inputs)

    def choose(self, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs. Raises NoBackend if `use_backend` names one that cannot.

        While `torch.compile` traces, eager serves: the compiler fuses the reference itself, a choice would break its graph.
        """
        if torch.compiler.is_compiling():
            return self.backends[-1]
        wanted = _wanted.get()
        if wanted == EAGER:
            return self.backends[-1]
        named = dict(zip(self.parameters, inputs))
        for backend in self.backends:
            if backend.takes(wanted) and all(requirement.reason_against(named) is None for requirement in backend.requirements):
                return backend
        verdicts = " ".join(f"{verdict}." for verdict in explain(self, *inputs) if verdict.backend == wanted)
        raise NoBackend(f"{self.name} was asked to run on {wanted!r}, which does not take these inputs. {verdicts}")


def explain(function: Function, *inputs: Any) -> tuple[Verdict, ...]:
    """What each backend of a function says to these inputs: that it serves, or every reason why not."""
    named = dict(zip(function.parameters, inputs))
    return tuple(
        Verdict(backend.name, tuple(reason for asked in backend.requirements
                                    if (reason := asked.reason_against(named)) is not None))
        for backend in function.backends)


def requirements_of(function: Function) -> dict[str, tuple[str, ...]]:
    """What each backend of a function asks for, by name."""
    return {backend.name: tuple(requirement.describe() for requirement in backend.requirements) for backend in function.backends}


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Inside this context, and in this thread or task alone, every function runs on the backend of that name.

    `eager` is the reference, for tests and bug reports; `auto` the fastest that has been measured; `any` the first that
    can serve, measured or not; another name raises where that one cannot serve.
    """
    if name not in (AUTO, ANY, EAGER, TRITON, CPU):
        raise ValueError(f"there is no backend {name!r}; there are {AUTO}, {ANY}, {EAGER}, {TRITON} and {CPU}.")
    token = _wanted.set(name)
    try:
        yield
    finally:
        _wanted.reset(token)


@contextmanager
def noting(served: dict[str, set[str]]) -> Iterator[None]:
    """Inside this context the backends that serve are added to `served`, by function."""
    token = _served.set(served)
    try:
        yield
    finally:
        _served.reset(token)
