"""Which backend serves, found out by trial on the machine at hand.

Where several may serve a function, device, dtype and shape, each runs a few times when that first occurs: one that disagrees
with eager is refused, of the others the fastest serves, from then on. So a seed keeps its bits on a machine.
"""

from __future__ import annotations

import json
import logging
import time
import timeit
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .registry import EAGER, Backend, Function, explain

TOLERANCE = {torch.float32: 1e-3, torch.float16: 4e-3, torch.bfloat16: 2e-2}  # of the norm; float32 may be multiplied as TF32
OUTLIER = 50  # so many tolerances of the largest value may a single one be off
SECONDS = 2.0  # for all trials of a model; what Triton takes to build a kernel comes on top, once a machine
TIMES, CALLS = 3, 5  # the best of so many times so many calls
UNTRIED = "no time for trials was left; it is tried when the model is loaded anew"

log = logging.getLogger(__name__)
Timer = Callable[[Callable[[], Any]], float]


@dataclass(frozen=True)
class Choice:
    """The backend that serves, and what speaks against the others."""

    serves: str
    against: dict[str, str] = field(default_factory=dict)


def seconds_of(call: Callable[[], Any]) -> float:
    """Of one call, the best of a few times; until the device has finished."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)

    def calls() -> None:
        for _ in range(CALLS):
            call()
        wait()
    wait()
    return min(timeit.repeat(calls, number=1, repeat=TIMES)) / CALLS


class Trials:
    """What has been found out on this machine: kept as long as this object, and in `file` for the next process.

    A file that cannot be read, or is of another `machine`, is made anew. `timer` says how long a call takes.
    """

    def __init__(self, file: Path | None = None, machine: str = "", timer: Timer = seconds_of, seconds: float = SECONDS) -> None:
        self.file, self.machine, self.timer, self.left = file, machine, timer, seconds
        self.choices = self.kept()

    def choose(self, function: Function, able: Sequence[Backend], inputs: Sequence[Any]) -> Choice:
        """Which of the backends that are able, eager last, serves these inputs from now on."""
        key = described(function, able, inputs)
        if key not in self.choices and self.left > 0:
            self.choices = self.kept() | self.choices  # another model may have tried it meanwhile
        if key in self.choices:
            return self.choices[key]
        if self.left <= 0:
            return Choice(able[-1].name, {backend.name: UNTRIED for backend in able[:-1]})
        with torch.cuda.device_of(inputs[0]):  # what is waited for is the current card
            choice = self.tried(able, inputs, key)
        return Choice(able[-1].name) if choice is None else self.keep(key, choice)  # None: eager's result is no measure

    def kept(self) -> dict[str, Choice]:
        """What the file holds now."""
        if self.file is None:
            return {}
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            return {key: Choice(**choice) for key, choice in found["choices"].items()} if found["machine"] == self.machine else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, half of one, or another program's
            return {}

    def keep(self, key: str, choice: Choice) -> Choice:
        """Remember a choice, here and in the file, beside those of other models."""
        self.choices = self.kept() | self.choices | {key: choice}
        if self.file is not None:
            write(self.file, self.machine, self.choices)
        return choice

    def tried(self, able: Sequence[Backend], inputs: Sequence[Any], key: str) -> Choice | None:
        """The fastest that agrees with eager, if eager itself is finite."""
        *others, eager = able
        failures = {backend.name: failure(backend, inputs) for backend in others}  # builds them, which is not of a trial's time
        began = time.perf_counter()
        expected = eager.run(*inputs)
        if not bool(torch.isfinite(expected).all()):
            return None
        against, seconds = {}, {eager.name: self.timer(lambda: eager.run(*inputs))}
        for backend in others:
            fault = failures[backend.name] or disagreement(backend, inputs, expected)
            if fault is None:
                seconds[backend.name] = self.timer(lambda backend=backend: backend.run(*inputs))
                continue
            against[backend.name] = fault
            log.warning("Show-1: a kernel is not used here: %s %s. Please report this line: %s; %s.",
                        backend.name, fault, key, self.machine)
        best = min(seconds, key=lambda name: seconds[name])
        slower = {name: f"takes {taken / seconds[best]:.1f} times as long" for name, taken in seconds.items() if name != best}
        self.left -= time.perf_counter() - began
        return Choice(best, against | slower)


def failure(backend: Backend, inputs: Sequence[Any]) -> str | None:
    """How a backend fails on these inputs, if it does: that is what a trial is for. Short memory is no fault of its own."""
    try:
        backend.run(*inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        return f"fails with {type(error).__name__}: {str(error)[:200]!r}"
    return None


def disagreement(backend: Backend, inputs: Sequence[Any], expected: Tensor) -> str | None:
    """How a backend's result differs from eager's beyond rounding, or from its own."""
    out = backend.run(*inputs)
    if out.shape != expected.shape or out.dtype != expected.dtype:
        return f"gives {tuple(out.shape)} in {out.dtype}, not {tuple(expected.shape)} in {expected.dtype}"
    squares = norm = worst = largest = 0.0
    for mine, right in zip(out.split(1), expected.split(1)):  # a sample at a time: memory may be short
        if not bool(torch.isfinite(mine).all()):
            return "gives NaN or infinity"
        right = right.float()
        apart = mine.float() - right
        squares, norm = squares + float(apart.square().sum()), norm + float(right.square().sum())
        worst, largest = max(worst, float(apart.abs().max())), max(largest, float(right.abs().max()))
    wrong, off, most = (squares / max(norm, 1e-30)) ** 0.5, worst / max(largest, 1e-30), TOLERANCE.get(out.dtype, 1e-3)
    if wrong > most or off > OUTLIER * most:
        return f"is wrong by {wrong:.1e} of the norm, in one place by {off:.1e} of the largest value"
    return None if torch.equal(out, backend.run(*inputs)) else "gives other bits when it is called again"


def described(function: Function, able: Sequence[Backend], inputs: Sequence[Any]) -> str:
    """What a choice is for: function, backends, card and dtype; then shapes, strides, layers and the like in brackets."""
    x = inputs[0]
    return f"{function.name} of {'/'.join(backend.name for backend in able)} on {card(x)}, {x.dtype} " + " ".join(
        f"{tuple(value.shape)}{value.stride()}" if isinstance(value, Tensor) else
        f"({value.extra_repr()})" if isinstance(value, nn.Module) else f"({value})" for value in inputs)


def card(x: Tensor) -> str:
    """What a tensor is on."""
    return torch.cuda.get_device_name(x.device) if x.is_cuda else x.device.type


def write(file: Path, machine: str, choices: dict[str, Choice]) -> None:
    """Put the choices into a file, whole or not at all; where it cannot be written they are made again next time."""
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"machine": machine, "choices": {key: asdict(choice) for key, choice in choices.items()}},
                                   indent=1), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        log.warning("Show-1: which kernels are fastest here could not be kept in %s: %s.", file, error)


class Selection:
    """The choices of one run. They are remembered as long as weights stay where they are: see `renew`."""

    def __init__(self, trials: Trials | None = None) -> None:
        self.trials = trials or Trials()
        self.known: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self.served: dict[str, set[str]] = {}  # backends, by function
        self.against: dict[tuple[str, str], list[str]] = {}  # every reason once, by backend and function
        self.state: object = None

    def renew(self, state: object) -> None:
        """Forget what to call when the weights are in another state than before."""
        if state != self.state:
            self.known.clear()
            self.state = state

    def choose(self, function: Function, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs."""
        backend, able = function.choose(inputs), function.able(inputs)
        reasons = {name: found[0] for name, found in explain(function, *inputs).items() if found}
        if able[0] is not backend:  # the preferred one is not sure
            choice = self.trials.choose(function, able, inputs)
            backend = next(one for one in able if one.name == choice.serves)
            reasons |= choice.against
        self.served.setdefault(function.name, set()).add(backend.name)
        for name, reason in reasons.items():
            found = self.against.setdefault((name, function.name), [])
            found += [] if reason in found else [reason]
        return backend

    def summary(self) -> str:
        """Which backends served each function, and why not the others, or not for every shape, for a log."""
        served = ", ".join(f"{name} {'/'.join(sorted(found))}" for name, found in sorted(self.served.items()))
        reasons: dict[tuple[str, str], list[str]] = {}
        for (backend, function), (first, *others) in sorted(self.against.items()):
            if backend == EAGER and backend in self.served[function]:
                continue
            where = "not everywhere" if backend in self.served[function] else "not"
            more = f" (and {len(others)} more)" if others else ""
            reasons.setdefault((where, first + more), []).append(f"{function} {backend}")
        return "; ".join([served, *(f"{where} {', '.join(found)}: {reason}" for (where, reason), found in reasons.items())])
