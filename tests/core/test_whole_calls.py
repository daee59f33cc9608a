"""How calls are made: every way is tried once, kept where it wins, dropped when weights move. Other ways are played by fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from show1_core import load_unet
from show1_core.kernels import Trials
from show1_core.models import compile as compiling
from show1_core.models import whole_calls
from show1_core.models.conditioning import PreparedText
from show1_core.models.unet import UNet
from show1_core.models.whole_calls import Way, WholeCalls, cuda_graph, elapsed

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
    """A capture that gives `factor` times the right result, or fails, or is `empty`: gives again what it gave when it was made;
    and a clock by which a replay takes `speed` of a plain call."""

    factor: float = 1.0
    speed: float = 0.5
    error: Exception | None = None
    empty: bool = False
    captured: int = 0
    replayed: int = 0
    network: Network = field(default_factory=Network)

    def capture(self, call: Callable[..., Tensor], inputs: list[Tensor]) -> Callable[..., Tensor]:
        self.captured += 1
        if self.error is not None:
            raise self.error
        given = [value.clone() for value in inputs]

        def replay(*values: Tensor) -> Tensor:
            before, self.replayed = self.network.calls, self.replayed + 1
            out = call(*(given if self.empty else values)) * self.factor
            self.network.calls = before  # a replay calls nothing
            return out
        return replay

    def timer(self, call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
        before = self.replayed
        out = call()
        return (self.speed if self.replayed > before else 1.0), out

    def calls(self, trials: Trials | None = None) -> WholeCalls:
        return WholeCalls(trials or Trials(), {"graph": self.capture}, self.timer)


@pytest.mark.parametrize(("machine", "serves", "against"), [
    (Machine(), "graph", ""),
    (Machine(speed=0.99), "plain", "0.99 of the time"),
    (Machine(factor=1.1), "plain", "wrong by 1.0e-01"),
    (Machine(factor=float("nan")), "plain", "wrong by nan"),
    (Machine(empty=True, speed=0.01), "plain", "wrong by"),
    (Machine(error=RuntimeError("not permitted when stream is capturing")), "plain", "not permitted"),
], ids=["wins", "no faster", "wrong", "NaN", "captures nothing", "cannot be captured"])
def test_what_serves(machine: Machine, serves: str, against: str) -> None:
    trials, text = Trials(), a_text()
    calls = machine.calls(trials)
    for step in range(6):
        out = calls(machine.network, CLIP + step, TIME - step, text, LEVEL, 2)
        assert torch.equal(out, (CLIP + 750)[:, :2]), "every call gives the right result, whatever serves"
    (choice,) = trials.choices.values()
    assert choice.serves == serves and against in choice.against.get("graph", "")
    assert calls.summary() == (f"calls plain; not graph: {choice.against['graph']}" if against else "calls graph")
    assert machine.captured == 1 and machine.network.calls == (3 if serves == "graph" else 6)


@pytest.mark.parametrize("runs", [("short", "graph"), ("graph", "short", "graph"), ("short", "short")])
def test_short_memory_keeps_calls_plain_in_its_own_run_alone(runs: tuple[str, ...], tmp_path: Path) -> None:
    for run in runs:
        machine = Machine(error=torch.OutOfMemoryError("no") if run == "short" else None)
        calls, text = machine.calls(Trials(tmp_path / "kernels.json", "M")), a_text()
        for _ in range(5):
            assert torch.equal(calls(machine.network, CLIP, TIME, text), CLIP + 500)
        assert calls.summary() == ("calls plain; not graph: there is no memory for it" if run == "short" else "calls graph")
        assert machine.captured == 1


class Cards:
    """Several cards, the first of which is current, as far as capturing and waiting ask for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current, self.captured_on, self.waited_for = torch.device("cuda:0"), [], []
        for name in ("device", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
        monkeypatch.setattr(torch.cuda, "Stream", lambda card=None: card or self.current)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda card=None: self.waited_for.append(card or self.current))
        monkeypatch.setattr(whole_calls, "stream_of", whole_calls.stream_of.__wrapped__)  # none of these is to be kept

    @contextmanager
    def device(self, card: torch.device) -> Iterator[None]:
        before, self.current = self.current, card
        yield
        self.current = before

    @contextmanager
    def graph(self, graph: object, stream: torch.device | None = None) -> Iterator[None]:
        self.captured_on.append((self.current, stream or torch.device("cuda:0")))  # PyTorch's own is of one card, for good
        yield


def test_a_graph_is_captured_and_timed_on_the_card_of_its_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is launched on another card than that of the capture runs at once, and the graph is empty."""
    second, cards = torch.device("cuda:1"), Cards(monkeypatch)
    with FakeTensorMode():
        clip = torch.ones(1, 3, 2, 4, 4, device=second)
        cuda_graph(lambda clip: clip + 1, [clip])
        elapsed(lambda: clip + 1, second)
    assert cards.captured_on == [(second, second)] and set(cards.waited_for) == {second}


def with_both(graph: Machine, blocks: Machine, trials: Trials) -> WholeCalls:
    """Calls of one network that may be made in either way."""
    blocks.network = graph.network

    def timer(call: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
        before = graph.replayed, blocks.replayed
        out = call()
        return (graph.speed if graph.replayed > before[0] else blocks.speed if blocks.replayed > before[1] else 1.0), out
    return WholeCalls(trials, {"graph": graph.capture, "blocks": blocks.capture}, timer)


@pytest.mark.parametrize(("graph", "blocks", "said"), [
    (Machine(speed=0.5), Machine(speed=0.7), "calls graph; not blocks: takes 0.70 of the time"),
    (Machine(speed=0.7), Machine(speed=0.5), "calls blocks; not graph: takes 0.70 of the time"),
    (Machine(speed=0.7), Machine(speed=0.5, factor=1.1), "calls graph; not blocks: is wrong by 1.0e-01"),
    (Machine(error=RuntimeError("no")), Machine(), "calls blocks; not graph: fails with 'no'"),
    (Machine(speed=0.98), Machine(speed=1.5),
     "calls plain; not graph: takes 0.98 of the time; not blocks: takes 1.50 of the time"),
], ids=["the graph wins", "blocks win", "blocks are wrong", "no graph can be made", "neither"])
def test_the_fastest_that_is_right_serves(graph: Machine, blocks: Machine, said: str) -> None:
    calls, text = with_both(graph, blocks, Trials()), a_text()
    for step in range(6):
        assert torch.equal(calls(graph.network, CLIP + step, TIME - step, text, LEVEL, 2), (CLIP + 750)[:, :2])
    assert calls.summary() == said and graph.captured == blocks.captured == 1


@pytest.mark.parametrize(("factor", "served"), [(1.0, "blocks"), (1.1, "plain")])
def test_what_was_kept_stays_if_it_is_still_right(factor: float, served: str) -> None:
    """Other ways may give other last bits, so a seed would lose its own if a later run were free to choose anew."""
    trials, slower = Trials(), Machine(speed=2.0, factor=factor)
    for graph, blocks in ((Machine(speed=0.7), Machine(speed=0.5)), (tempting := Machine(speed=0.1), slower)):
        calls, text = with_both(graph, blocks, trials), a_text()
        for _ in range(4):
            assert torch.equal(calls(graph.network, CLIP, TIME, text), CLIP + 500)
    assert calls.summary().startswith(f"calls {served}") and not tempting.captured and slower.captured == 1


def test_what_keeps_calls_plain_is_said() -> None:
    machine = Machine()
    calls, text = machine.calls(), a_text()
    for obstacle in ("weights are streamed", None, None, None):
        calls.of(machine.network, "state", obstacle)(CLIP, TIME, text, None, None)
    assert calls.summary() == "calls graph; calls plain: weights are streamed"


def test_blocks_are_compiled_in_their_own_calls_alone(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's compiler is played by a function that counts."""
    seen: list[str] = []

    def compiler(call: Callable[..., object]) -> Callable[..., object]:
        return lambda *inputs: (seen.append("compiled"), call(*inputs))[1]

    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(compiling, "missing_compiler", lambda: None)
    unet = load_unet(models / "show-1-base")
    sample, text = torch.randn(1, 3, 2, 8, 8), unet.prepare(torch.randn(1, 5, unet.config.text_dim))
    with torch.no_grad():
        expected = unet(sample, TIME, text)
        by_blocks = compiling.Blocks(unet)(unet, [])
        assert torch.equal(unet(sample, TIME, text), expected) and not seen
        assert torch.equal(by_blocks(sample, TIME, text), expected)
        assert len(seen) == sum(isinstance(block, compiling.REGIONS) for block in unet.modules())
        assert torch.equal(unet(sample, TIME, text), expected)
    assert len(seen) == sum(isinstance(block, compiling.REGIONS) for block in unet.modules())


def test_without_a_compiler_blocks_do_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "missing_compiler", lambda: "Triton is not installed")
    network, text = Network(), a_text()
    calls = WholeCalls(Trials(), {"blocks": compiling.Blocks(UNet.__new__(UNet))}, Machine().timer)
    for _ in range(4):
        calls(network, CLIP, TIME, text)
    assert calls.summary() == "calls plain; not blocks: fails with 'Triton is not installed'" and network.calls == 4


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
