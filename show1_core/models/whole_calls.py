"""A network's calls replayed as one graph, where a trial says that this is faster.

A call is a thousand and more launches. With small clips a fast GPU waits for them; a CUDA graph launches all at once. It
holds on to the addresses of weights, text and features, so it lives as long as these stay: see `renew`. Its memory is its
own until then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..kernels.selection import TOLERANCE, Choice, Trials, card
from .conditioning import PreparedText

GRAPH, PLAIN = "graph", "plain"
PLAIN_CALLS = 2  # before a graph is made: the first makes what is kept, the second is timed
WORTH = 0.97  # of a plain call's time, that a replay may take at most

log = logging.getLogger(__name__)
Network = Callable[..., Tensor]
Capture = Callable[[Callable[..., Tensor], "list[Tensor]"], Callable[..., Tensor]]


def cuda_graph(call: Callable[..., Tensor], inputs: list[Tensor]) -> Callable[..., Tensor]:
    """What does the same as `call` for inputs of these shapes, by replaying what it launches now."""
    static = [value.clone() for value in inputs]
    graph = torch.cuda.CUDAGraph()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph):
        out = call(*static)

    def replay(*values: Tensor) -> Tensor:
        for place, value in zip(static, values, strict=True):
            place.copy_(value)
        graph.replay()
        return out.clone()
    return replay


def elapsed(call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Seconds of a call until the device has finished, and what it gives."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    out = call()
    wait()
    return time.perf_counter() - began, out


@dataclass
class Way:
    """How calls of one shape under one text are done; `text` is held on to, so that its address stays its own."""

    text: PreparedText
    calls: int = 0
    seconds: float = float("inf")  # of a plain call
    replay: Callable[..., Tensor] | None = None


class WholeCalls:
    """Calls of a network in one run, under whichever of a graph and plain calls a trial finds faster.

    `trials` keeps the choice by shape for later runs; `capture` makes the graph, `timer` times a call.
    """

    def __init__(self, trials: Trials, capture: Capture = cuda_graph, timer: Any = elapsed) -> None:
        self.trials, self.capture, self.timer = trials, capture, timer
        self.ways: dict[tuple[Any, ...], Way] = {}
        self.state: object = None

    def renew(self, state: object) -> None:
        """Drop every graph when the weights are in another state than before."""
        if state != self.state:
            self.ways.clear()
            self.state = state

    def __call__(self, network: Network, sample: Tensor, timestep: Tensor, text: PreparedText, noise_level: Tensor | None = None,
                 channels: int | None = None) -> Tensor:
        """network(sample, timestep, text, noise_level, channels), one way or the other."""
        if torch.is_grad_enabled():
            return network(sample, timestep, text, noise_level, channels)
        inputs = [value.to(sample.device) for value in (sample, timestep, noise_level) if value is not None]

        def call(*values: Tensor) -> Tensor:
            return network(*values[:2], text, *(values[2:] or (None,)), channels)

        key = (id(text.states), channels, *((value.shape, value.dtype) for value in inputs))
        way = self.ways.setdefault(key, Way(text))
        if way.replay is not None:
            return way.replay(*inputs)
        way.calls += 1
        name = f"whole call on {card(sample)}, {sample.dtype} {tuple(sample.shape)} under {tuple(text.shape)}"
        choice = self.trials.choices.get(name)
        if way.calls < PLAIN_CALLS or (choice is not None and choice.serves == PLAIN):
            return call(*inputs)
        if way.calls == PLAIN_CALLS:
            way.seconds, out = self.timer(lambda: call(*inputs), sample.device)
            return out
        return self.tried(way, call, inputs, name)

    def tried(self, way: Way, call: Callable[..., Tensor], inputs: list[Tensor], name: str) -> Tensor:
        """A plain call; beside it a graph, which serves from now on if it gives the same in less time."""
        expected, against, replay = call(*inputs), "", None
        try:
            replay = self.capture(call, inputs)
            replay(*inputs)
            seconds, out = self.timer(lambda: replay(*inputs), inputs[0].device)
        except (torch.OutOfMemoryError, MemoryError):
            against = "there is no memory for a graph"
        except RuntimeError as error:
            against = f"capturing fails with {str(error)[:200]!r}"
        else:
            wrong = float((out.float() - expected.float()).norm() / expected.float().norm())
            if not wrong <= TOLERANCE.get(out.dtype, 1e-3):  # NaN is wrong
                against = f"it is wrong by {wrong:.1e}"
            elif seconds > WORTH * way.seconds:
                against = f"it takes {seconds / way.seconds:.2f} of the time"
        self.trials.keep(name, Choice(PLAIN, {GRAPH: against}) if against else Choice(GRAPH))
        log.info("Show-1: calls of %s are %s.", name, f"plain, not replayed: {against}" if against else "replayed as a graph")
        way.replay = None if against else replay
        return expected
