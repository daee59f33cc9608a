"""How a network's calls are made: plainly, replayed as one graph, or with compiled blocks, whichever a trial finds fastest.

A call is a thousand and more launches. With small clips a fast GPU waits for them; a CUDA graph launches all at once. It
holds on to the addresses of weights, text and features, so it lives as long as these stay: see `renew`. Its memory is its
own until then. `compile.Blocks` makes calls with compiled blocks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from ..kernels.selection import TOLERANCE, Choice, Trials, card
from .conditioning import PreparedText

PLAIN, GRAPH, BLOCKS = "plain", "graph", "blocks"
PLAIN_CALLS = 2  # before another way is tried: the first makes what is kept, the second is timed
WORTH = 0.97  # of a plain call's time, that another way may take at most
NO_MEMORY = "there is no memory for it"

log = logging.getLogger(__name__)
Network = Callable[..., Tensor]
Make = Callable[[Callable[..., Tensor], "list[Tensor]"], Callable[..., Tensor]]  # another way to make a call, for such inputs


def cuda_graph(call: Callable[..., Tensor], inputs: list[Tensor]) -> Callable[..., Tensor]:
    """What does the same as `call` for inputs of these shapes, by replaying what it launches now."""
    static = [value.clone() for value in inputs]
    graph, card = torch.cuda.CUDAGraph(), inputs[0].device
    torch.cuda.synchronize(card)
    with torch.cuda.device(card), torch.cuda.graph(graph, stream=stream_of(card)):
        out = call(*static)

    def replay(*values: Tensor) -> Tensor:
        for place, value in zip(static, values, strict=True):
            place.copy_(value)
        graph.replay()
        return out.clone()
    return replay


@cache
def stream_of(card: torch.device) -> torch.cuda.Stream:
    """What graphs of a card are captured on, one for all of them: libraries hold on to memory for each stream."""
    return torch.cuda.Stream(card)


def elapsed(call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Seconds of a call until the device has finished, and what it gives."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    out = call()
    wait()
    return time.perf_counter() - began, out


@dataclass
class Way:
    """How calls of one shape under one text are made; `text` is held on to, so that its address stays its own."""

    text: PreparedText
    calls: int = 0
    seconds: float = float("inf")  # of a plain call
    instead: Callable[..., Tensor] | None = None  # of plain calls


@dataclass(frozen=True)
class Trial:
    """What was found out about another way: the call, its seconds, and what speaks against it."""

    call: Callable[..., Tensor] | None = None
    seconds: float = float("inf")
    against: str = ""


class WholeCalls:
    """Calls of a network in one run, each in whichever way a trial finds fastest.

    `others` make calls in other ways than plainly, by name. `trials` keeps the choice by shape for later runs; `timer` times
    a call.
    """

    def __init__(self, trials: Trials, others: Mapping[str, Make], timer: Any = elapsed) -> None:
        self.trials, self.others, self.timer = trials, others, timer
        self.ways: dict[tuple[Any, ...], Way] = {}
        self.chosen: dict[str, Choice] = {}  # in this run
        self.kept_plain: dict[str, None] = {}  # what has kept other calls plain, each thing once
        self.state: object = None

    def of(self, network: Network, state: object, obstacle: str | None) -> Network:
        """Calls of a network whose weights are in this state; plain ones where there is an obstacle to others."""
        if obstacle is not None:
            self.kept_plain[obstacle] = None
            return network
        self.renew(state)
        return partial(self, network)

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
        if way.instead is not None:
            return way.instead(*inputs)
        way.calls += 1
        name = (f"whole call by {'/'.join(self.others)} on {card(sample)}, "
                f"{sample.dtype} {tuple(sample.shape)} under {tuple(text.shape)}")
        known = self.chosen.get(name) or self.trials.choices.get(name)
        if known is not None and known.serves == PLAIN:
            self.chosen[name] = known
            return call(*inputs)
        if way.calls < PLAIN_CALLS:
            return call(*inputs)
        if way.calls == PLAIN_CALLS:
            way.seconds, out = self.timer(lambda: call(*inputs), sample.device)
            return out
        expected = call(*inputs)
        self.chosen[name] = self.choose(way, call, inputs, expected, name)
        return expected

    def choose(self, way: Way, call: Callable[..., Tensor], inputs: list[Tensor], expected: Tensor, name: str) -> Choice:
        """What serves from now on: the fastest way that gives the same; one that was kept stays, if it still does.

        Plain calls for want of memory are not kept: a later run may have more.
        """
        kept = self.trials.choices.get(name)
        most = WORTH * way.seconds if kept is None else float("inf")
        tried = {other: self.tried(make, call, inputs, expected) for other, make in self.others.items()
                 if kept is None or kept.serves == other}
        right = [other for other, trial in tried.items() if not trial.against and trial.seconds <= most]
        best = min(right, key=lambda other: tried[other].seconds, default=PLAIN)
        against = {other: trial.against or f"takes {trial.seconds / way.seconds:.2f} of the time"
                   for other, trial in tried.items() if other != best}
        choice, short = Choice(best, against), best == PLAIN and NO_MEMORY in against.values()
        if not short:
            choice = self.trials.keep(name, choice) if kept is None or best == PLAIN else kept
        way.instead = None if best == PLAIN else tried[best].call
        log.info("Show-1: %s: %s.", name, said(choice))
        return choice

    def tried(self, make: Make, call: Callable[..., Tensor], inputs: list[Tensor], expected: Tensor) -> Trial:
        """One other way on these inputs."""
        try:
            other = make(call, [torch.zeros_like(value) for value in inputs])  # not `inputs`: an empty graph would be right
            other(*inputs)
            seconds, out = self.timer(lambda: other(*inputs), inputs[0].device)
        except (torch.OutOfMemoryError, MemoryError):
            return Trial(against=NO_MEMORY)
        except RuntimeError as error:
            return Trial(against=f"fails with {str(error)[:200]!r}")
        wrong = float((out.float() - expected.float()).norm() / expected.float().norm())
        if not wrong <= TOLERANCE.get(out.dtype, 1e-3):  # NaN is wrong
            return Trial(against=f"is wrong by {wrong:.1e}")
        return Trial(other, seconds)

    def summary(self) -> str:
        """How calls were made, and why not in other ways, for a log."""
        return "; ".join([*dict.fromkeys(map(said, self.chosen.values())), *(f"calls plain: {why}" for why in self.kept_plain)])


def said(choice: Choice) -> str:
    """A choice in words."""
    return "; ".join([f"calls {choice.serves}", *(f"not {other}: {reason}" for other, reason in choice.against.items())])
