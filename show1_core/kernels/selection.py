"""Which backend serves, found out by trial on the machine at hand.

Where several may serve a function, device, dtype and shape, each runs a few times when that first occurs: one that disagrees
with eager is refused, of the others the fastest serves, from then on. So a seed keeps its bits on a machine.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .registry import Backend, Function, explain
from .triton_guard import triton

TOLERANCE = {torch.float32: 1e-3, torch.float16: 4e-3, torch.bfloat16: 2e-2}  # of the norm; products in TF32 count as float32
OUTLIER = 50  # so many tolerances of the largest value may a single one be off
SECONDS = 2.0  # of a model's runs, for all trials together; what Triton takes to build a kernel is not in it
TIMES, CALLS = 3, 5  # the best of so many times so many calls

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """The backend that serves, and what speaks against each of the others."""

    serves: str
    against: dict[str, str] = field(default_factory=dict)


def machine(pack: str = "") -> str:
    """What choices hold for, beside the card: they are made anew with other software."""
    driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return f"torch {torch.__version__}, driver {driver}, Triton {getattr(triton, '__version__', None)}, pack {pack}"


def seconds_of(call: Callable[[], Tensor]) -> float:
    """Of one call, the best of a few times; until the device has finished."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    best = float("inf")
    for _ in range(TIMES):
        wait()
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        wait()
        best = min(best, (time.perf_counter() - began) / CALLS)
    return best


class Trials:
    """What has been found out on this machine: kept as long as this object, and in `file` for the next process.

    A file that cannot be read, or is of another `machine`, is made anew. `timer` is how a call is timed.
    """

    def __init__(self, file: Path | None = None, machine: str = "", timer: Callable[[Callable[[], Tensor]], float] = seconds_of,
                 seconds: float = SECONDS) -> None:
        self.file, self.machine, self.timer, self.left = file, machine, timer, seconds
        self.choices = {} if file is None else read(file, machine)

    def choose(self, function: Function, able: Sequence[Backend], inputs: Sequence[Any]) -> Choice:
        """Which of the backends that are able, eager last, serves these inputs from now on."""
        key = described(function, able, inputs)
        if key not in self.choices:
            found = self.tried(function, able, inputs, key) if self.left > 0 else self.alike(key)
            if found is None:
                return Choice(able[-1].name)
            self.choices[key] = found
            if self.file is not None:
                write(self.file, self.machine, self.choices)
        return self.choices[key]

    def alike(self, key: str) -> Choice | None:
        """When there is no time for more trials: what serves the same function and dtype in the latest shape that was tried."""
        start = key.split("(")[0]
        return next((choice for other, choice in reversed(self.choices.items()) if other.startswith(start)), None)

    def tried(self, function: Function, able: Sequence[Backend], inputs: Sequence[Any], key: str) -> Choice | None:
        """The fastest that agrees with eager; None where eager's own result is no measure, being NaN or infinite."""
        began, building = time.perf_counter(), 0.0
        *others, eager = able
        expected = eager.run(*inputs)
        if not bool(torch.isfinite(expected).all()):
            return None
        against: dict[str, str] = {}
        seconds = {eager.name: self.timer(lambda: eager.run(*inputs))}
        for backend in others:
            builds = time.perf_counter()
            fault = failure(backend, inputs)
            building += time.perf_counter() - builds
            fault = fault or disagreement(backend, inputs, expected)
            if fault is None:
                seconds[backend.name] = self.timer(lambda backend=backend: backend.run(*inputs))
                continue
            against[backend.name] = fault
            log.warning("Show-1: the %s kernel of %s is not used: it %s. Please report this line: %s; %s.",
                        backend.name, function.name, fault, key, self.machine)
        best = min(seconds, key=lambda name: seconds[name])
        against |= {name: f"takes {taken / seconds[best]:.1f} times as long" for name, taken in seconds.items() if name != best}
        self.left -= time.perf_counter() - began - building
        return Choice(best, against)


def failure(backend: Backend, inputs: Sequence[Any]) -> str | None:
    """How a backend fails on these inputs, if it does. Short memory is no fault of its own."""
    try:
        backend.run(*inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # whatever a compiler or a driver has to say: that is what the trial is for
        return f"fails with {type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    return None


def disagreement(backend: Backend, inputs: Sequence[Any], expected: Tensor) -> str | None:
    """How a backend's result differs from eager's, or from its own, beyond rounding."""
    out = backend.run(*inputs)
    if out.shape != expected.shape or out.dtype != expected.dtype:
        return f"gives {tuple(out.shape)} in {out.dtype}, not {tuple(expected.shape)} in {expected.dtype}"
    squares = norm = worst = largest = 0.0
    for mine, right in zip(out.split(1), expected.split(1)):  # a sample at a time: memory may be short
        apart, right = mine.float() - right.float(), right.float()
        squares, norm = squares + float(apart.square().sum()), norm + float(right.square().sum())
        worst, largest = max(worst, float(apart.abs().max())), max(largest, float(right.abs().max()))
        if not bool(torch.isfinite(mine).all()):
            return "gives NaN or infinity"
    wrong, most = (squares / max(norm, 1e-30)) ** 0.5, TOLERANCE.get(out.dtype, 1e-3)
    if wrong > most or worst > OUTLIER * most * largest:
        return f"is wrong by {wrong:.1e} of the norm and {worst / max(largest, 1e-30):.1e} of the largest value, more than {most:.0e}"
    return None if torch.equal(out, backend.run(*inputs)) else "gives other bits when it is called again"


def described(function: Function, able: Sequence[Backend], inputs: Sequence[Any]) -> str:
    """What a choice is for, in words: function, backends, card and dtype, then shapes, strides and kinds of layers."""
    first = next(value for value in inputs if isinstance(value, Tensor))
    card = torch.cuda.get_device_name(first.device) if first.is_cuda else first.device.type
    head = f"{function.name} by {'/'.join(backend.name for backend in able)} on {card}, {first.dtype} "
    return head + " ".join(
        f"{tuple(value.shape)}{value.stride()}" if isinstance(value, Tensor) else
        f"({value.extra_repr()})" if isinstance(value, nn.Module) else f"({value})" for value in inputs)


def read(file: Path, machine: str) -> dict[str, Choice]:
    """The choices that a file holds for this machine."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {key: Choice(**choice) for key, choice in kept["choices"].items()} if kept["machine"] == machine else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, half of one, or another program's
        return {}


def write(file: Path, machine: str, choices: dict[str, Choice]) -> None:
    """Put the choices into a file, whole or not at all; a folder that cannot be written to means trials next time."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"machine": machine, "choices": {key: asdict(choice) for key, choice in choices.items()}},
                                   indent=1), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        log.warning("Show-1: which kernels are fastest here could not be kept in %s: %s.", file, error)


@dataclass
class Selection:
    """The choices of one run: remembered by layer and shape, as long as weights stay where they are."""

    trials: Trials = field(default_factory=Trials)
    known: dict[tuple[Any, ...], Callable[..., Any]] = field(default_factory=dict)
    served: dict[str, set[str]] = field(default_factory=dict)  # backends, by function
    against: dict[tuple[str, str], str] = field(default_factory=dict)  # the first reason, by function and backend

    def choose(self, function: Function, inputs: Sequence[Any]) -> Backend:
        """The backend that serves these inputs."""
        backend, against = function.choose(inputs), {}
        able = function.able(inputs)
        if able[0] is not backend:  # it is not sure
            choice = self.trials.choose(function, able, inputs)
            backend, against = next(one for one in able if one.name == choice.serves), choice.against
        self.served.setdefault(function.name, set()).add(backend.name)
        reasons = {verdict.backend: verdict.reasons[0] for verdict in explain(function, *inputs) if verdict.reasons} | against
        for name, reason in reasons.items():
            self.against.setdefault((function.name, name), reason)
        return backend

    def summary(self) -> str:
        """Which backend served each function, and why not the others, for a log."""
        served = ", ".join(f"{name} {'/'.join(sorted(found))}" for name, found in sorted(self.served.items()))
        reasons: dict[tuple[str, str], list[str]] = {}
        for (function, backend), reason in sorted(self.against.items()):
            reasons.setdefault((backend, reason), []).append(function)
        return served + "".join(f"; not {backend} for {', '.join(functions)}: {reason}"
                                for (backend, reason), functions in reasons.items())
