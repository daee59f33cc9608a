"""A call replayed as a graph: tried once, kept where it wins, dropped when weights move. Graphs are played by fakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from show1_core.kernels import Trials
from show1_core.models.conditioning import PreparedText
from show1_core.models.whole_calls import Way, WholeCalls

CLIP, TIME, LEVEL = torch.ones(1, 3, 2, 4, 4), torch.tensor(500), torch.tensor(250)


def a_text() -> PreparedText:
    """A text of its own."""
    return PreparedText(torch.Size((2, 5, 8)), torch.zeros(2, 5, 8))


@dataclass
class Network:
    """clip + timestep + noise level, and how often it was called."""

    calls: int = 0

    def __call__(self, clip: Tensor, timestep: Tensor, text: object, noise_level: Tensor | None, channels: int | None) -> Tensor:
        self.calls += 1
        return clip[:, :channels] + timestep + (0 if noise_level is None else noise_level)


@dataclass
class Machine:
    """A capture that gives `factor` times the right result, or fails; a clock by which a replay takes `speed` of a plain call."""

    factor: float = 1.0
    speed: float = 0.5
    error: Exception | None = None
    captured: int = 0
    replayed: int = 0
    network: Network = field(default_factory=Network)

    def capture(self, call: Callable[..., Tensor], inputs: list[Tensor]) -> Callable[..., Tensor]:
        self.captured += 1
        if self.error is not None:
            raise self.error

        def replay(*values: Tensor) -> Tensor:
            before, self.replayed = self.network.calls, self.replayed + 1
            out = call(*values) * self.factor
            self.network.calls = before  # a replay calls nothing
            return out
        return replay

    def timer(self, call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
        before = self.replayed
        out = call()
        return (self.speed if self.replayed > before else 1.0), out

    def calls(self, trials: Trials | None = None) -> WholeCalls:
        return WholeCalls(trials or Trials(), self.capture, self.timer)


@pytest.mark.parametrize(("machine", "serves", "against"), [
    (Machine(), "graph", ""),
    (Machine(speed=0.99), "plain", "0.99 of the time"),
    (Machine(factor=1.1), "plain", "wrong by 1.0e-01"),
    (Machine(factor=float("nan")), "plain", "wrong by nan"),
    (Machine(error=RuntimeError("not permitted when stream is capturing")), "plain", "not permitted"),
    (Machine(error=torch.OutOfMemoryError("no")), "plain", "no memory"),
], ids=["wins", "no faster", "wrong", "NaN", "cannot be captured", "no memory"])
def test_what_serves(machine: Machine, serves: str, against: str) -> None:
    trials, text = Trials(), a_text()
    calls = machine.calls(trials)
    for step in range(6):
        out = calls(machine.network, CLIP + step, TIME - step, text, LEVEL, 2)
        assert torch.equal(out, (CLIP + 750)[:, :2]), "every call gives the right result, whatever serves"
    (choice,) = trials.choices.values()
    assert choice.serves == serves and against in choice.against.get("graph", "")
    assert machine.captured == 1 and machine.network.calls == (3 if serves == "graph" else 6)


def test_a_choice_holds_for_later_runs_and_processes(tmp_path: Path) -> None:
    for machine, captured in ((Machine(speed=2.0), 1), (Machine(), 0)):
        calls, text = machine.calls(Trials(tmp_path / "kernels.json", "M")), a_text()
        for _ in range(5):
            calls(machine.network, CLIP, TIME, text)
        assert machine.captured == captured and machine.network.calls == 5


def test_another_text_or_shape_is_another_graph() -> None:
    machine = Machine()
    calls, texts = machine.calls(), (a_text(), a_text())
    for text in texts:
        for clip in (CLIP, CLIP[..., :2]):
            for _ in range(4):
                assert torch.equal(calls(machine.network, clip, TIME, text), clip + 500)
    assert machine.captured == 4


def test_a_graph_is_dropped_when_weights_move() -> None:
    machine = Machine()
    calls, text = machine.calls(), a_text()
    calls.renew("here")
    for _ in range(4):
        calls(machine.network, CLIP, TIME, text)
    assert machine.replayed == 3
    calls.renew("here")
    calls(machine.network, CLIP, TIME, text)
    calls.renew("there")
    assert not calls.ways
    calls(machine.network, CLIP, TIME, text)
    assert machine.replayed == 4


def test_under_gradients_calls_are_plain() -> None:
    machine = Machine()
    calls, text = machine.calls(), a_text()
    with torch.enable_grad():
        for _ in range(5):
            calls(machine.network, CLIP, TIME, text)
    assert not machine.captured and machine.network.calls == 5


def test_groups_of_samples_share_a_graph() -> None:
    machine = Machine()
    calls, text = machine.calls(), a_text()
    for _ in range(4):
        calls(machine.network, CLIP, TIME, text.of_samples(slice(0, 1), 1))
    assert machine.captured == 1 and machine.replayed == 3


def test_a_text_is_held_as_long_as_its_graph() -> None:
    """Otherwise another text at the same address would be taken for it."""
    machine = Machine()
    calls = machine.calls()
    calls(machine.network, CLIP, TIME, a_text())
    assert all(isinstance(way, Way) and isinstance(way.text, PreparedText) for way in calls.ways.values())
