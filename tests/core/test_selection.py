"""Backends prove themselves: tried once, compared with eager, the fastest serves, and a choice stays."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import GroupNorm

from show1_core.kernels import Backend, Function, Selection, Trials, chosen_by, use_backend
from show1_core.kernels.selection import UNTRIED
from show1_core.software import software

X = torch.linspace(-1, 1, 24).reshape(2, 3, 4)
SECONDS = {"fast": 1.0, "eager": 2.0, "slow": 5.0}


class Clock:
    """Says of a call what its backend's speed is said to be; and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.speed = 0.0

    def __call__(self, call: Callable[[], Tensor]) -> float:
        call()
        self.asked += 1
        return self.speed


def function_of(run: Callable[[Tensor], Tensor], speed: str, clock: Clock) -> Function:
    """x * 2 by a backend under test, and by eager; each tells the clock how fast it is."""

    def at(seconds: float, call: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def timed(x: Tensor) -> Tensor:
            clock.speed = seconds
            return call(x)
        return timed

    return Function("f", ("x",), (
        Backend("triton", at(SECONDS[speed], run)), Backend("eager", at(SECONDS["eager"], lambda x: 2 * x))))


def failing(x: Tensor) -> Tensor:
    raise RuntimeError("no such instruction")


def with_one(value: float) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.cat([(2 * x).flatten()[:-1], torch.tensor([value])]).view_as(x)


def changing() -> Callable[[Tensor], Tensor]:
    state = iter(range(1000))
    return lambda x: 2 * x + 1e-6 * next(state)


# what a backend does, how fast it is, who serves, and what is said against the other
CASES = [
    ("right and fast", lambda x: x + x, "fast", "triton", "takes 2.0 times as long"),
    ("right and slow", lambda x: x + x, "slow", "eager", "takes 2.5 times as long"),
    ("right within rounding", lambda x: 2 * x * (1 + 1e-5), "fast", "triton", "takes 2.0"),
    ("wrong", lambda x: 2.1 * x, "fast", "eager", "is wrong by 5.0e-02 of the norm"),
    ("wrong in one place", with_one(1.5), "fast", "eager", "is wrong by"),
    ("NaN in one place", with_one(float("nan")), "fast", "eager", "gives NaN or infinity"),
    ("of another shape", lambda x: 2 * x[:1], "fast", "eager", "gives (1, 3, 4)"),
    ("of another dtype", lambda x: (2 * x).double(), "fast", "eager", "in torch.float64"),
    ("failing", failing, "fast", "eager", "fails with RuntimeError: 'no such instruction'"),
    ("not the same twice", changing(), "fast", "eager", "gives other bits"),
]


@pytest.mark.parametrize(("run", "speed", "serves", "against"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_serves(run: Callable[[Tensor], Tensor], speed: str, serves: str, against: str,
                     caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    selection = Selection(Trials(timer=clock, machine="this machine"))
    with chosen_by(selection), caplog.at_level(logging.WARNING):
        out = function_of(run, speed, clock)(X)
    assert selection.served == {"f": {serves}}
    torch.testing.assert_close(out, 2 * X, rtol=1e-4, atol=1e-5)
    loser = ({"triton", "eager"} - {serves}).pop()
    (said,) = selection.against[loser, "f"]
    assert against in said and f"not f {loser}: {said}" in selection.summary()
    lines = [record.getMessage() for record in caplog.records]
    refused = serves == "eager" and speed == "fast"
    assert len(lines) == refused and all(against in line and "(2, 3, 4)" in line and "this machine" in line and "\n" not in line
                                         for line in lines)


def test_a_choice_is_made_once_a_shape_and_stays() -> None:
    clock = Clock()
    trials, function = Trials(timer=clock), function_of(lambda x: x + x, "fast", clock)
    for _ in range(2):  # runs
        with chosen_by(Selection(trials)):
            function(X)
            function(X)
    assert clock.asked == 2
    with chosen_by(Selection(trials)):
        function(X[:1])
    assert clock.asked == 4


def test_a_backend_that_serves_some_shapes_does_not_hide_why_it_does_not_serve_others() -> None:
    clock = Clock()
    selection = Selection(Trials(timer=clock))
    function = function_of(lambda x: x + x if len(x) == 2 else (2 + 0.1 * x.shape[1]) * x, "fast", clock)
    with chosen_by(selection):
        for rows in (X, X[:1], X[:1, :2]):
            function(rows)
    assert selection.summary() == \
        "f eager/triton; not everywhere f triton: is wrong by 1.5e-01 of the norm, in one place by 1.5e-01 of the largest " \
        "value (and 1 more)"


def test_a_trial_waits_for_the_card_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch waits for the current card, and another may be: a kernel would be timed while it is still at work."""
    current, waited_for = [X[:1]], []

    @contextmanager
    def device_of(x: Tensor) -> Iterator[None]:
        current.append(x)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited_for.append(current[-1]))
    with chosen_by(Selection(Trials())):
        Function("f", ("x",), (Backend("triton", lambda x: x + x), Backend("eager", lambda x: 2 * x)))(X)
    assert waited_for and all(x is X for x in waited_for) and len(current) == 1


def test_memory_that_is_short_is_no_fault_of_a_kernel() -> None:
    def short(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    trials = Trials(timer=Clock())
    with chosen_by(Selection(trials)), pytest.raises(torch.OutOfMemoryError):
        function_of(short, "fast", Clock())(X)
    assert not trials.choices


def test_what_is_nan_by_eager_is_no_measure_and_leaves_no_choice() -> None:
    clock = Clock()
    trials = Trials(timer=clock)
    with chosen_by(Selection(trials)):
        assert function_of(lambda x: x + x, "fast", clock)(X * float("nan")).isnan().all()
    assert not trials.choices and not clock.asked


def test_when_time_is_up_what_is_untried_is_served_by_eager_and_not_kept(tmp_path: Path) -> None:
    """Also where what served before would now give NaN: a kernel is never trusted for another shape than it was tried on."""
    clock, file = Clock(), tmp_path / "kernels.json"
    function = function_of(lambda x: x + x if len(x) == 2 else x * float("nan"), "fast", clock)
    selection = Selection(Trials(file, "M", clock, seconds=1e-9))
    with chosen_by(selection):
        for rows in (X, X[:1], X[:1]):
            torch.testing.assert_close(function(rows), 2 * rows)
    assert clock.asked == 2 and selection.served == {"f": {"triton", "eager"}}
    assert [choice["serves"] for choice in json.loads(file.read_text())["choices"].values()] == ["triton"]
    assert UNTRIED in selection.summary()
    with chosen_by(Selection(Trials(file, "M", clock))):  # the next process has time again
        function(X)
        torch.testing.assert_close(function(X[:, :2]), 2 * X[:, :2])
    assert clock.asked == 4 and len(json.loads(file.read_text())["choices"]) == 2


def test_models_loaded_side_by_side_keep_each_others_choices(tmp_path: Path) -> None:
    """Both have read the file before either has tried anything."""
    clock, file = Clock(), tmp_path / "kernels.json"
    function = function_of(lambda x: x + x, "fast", clock)
    for trials, rows in [(trials, X[:size]) for size, trials in enumerate([Trials(file, "M", clock) for _ in range(2)], 1)]:
        with chosen_by(Selection(trials)):
            function(rows)
    assert clock.asked == 4
    with chosen_by(Selection(Trials(file, "M", clock))):
        function(X[:1])
        function(X)
    assert clock.asked == 4, "the next process tries nothing again"


def test_what_another_model_has_tried_meanwhile_is_not_tried_again(tmp_path: Path) -> None:
    """A second trial could come out otherwise, and the next process would have but one of the two."""
    clock, file = Clock(), tmp_path / "kernels.json"
    for trials, speed in [*zip([Trials(file, "M", clock) for _ in range(2)], ("fast", "slow"))]:
        with chosen_by(selection := Selection(trials)):
            function_of(lambda x: x + x, speed, clock)(X)
        assert selection.served == {"f": {"triton"}}
    assert clock.asked == 2


@pytest.mark.parametrize(("text", "kept"), [
    (None, True), ("", False), ("{", False), ("[]", False), ('{"machine": "M"}', False),
    ('{"machine": "M", "choices": [1]}', False),
    ('{"machine": "older", "choices": {}}', False)])
def test_a_file_of_this_machine_is_read_and_any_other_made_anew(tmp_path: Path, text: str | None, kept: bool) -> None:
    file, clock = tmp_path / "folder" / "kernels.json", Clock()
    function = function_of(lambda x: x + x, "fast", clock)
    with chosen_by(Selection(Trials(file, "M", clock))):
        function(X)
    if text is not None:
        file.write_text(text)
    with chosen_by(Selection(Trials(file, "M", clock))):
        function(X)
    assert clock.asked == (2 if kept else 4)
    found = json.loads(file.read_text())
    assert found["machine"] == "M" and [choice["serves"] for choice in found["choices"].values()] == ["triton"]
    assert [entry.name for entry in file.parent.iterdir()] == ["kernels.json"], "nothing half written is left"


def test_a_folder_that_cannot_be_written_to_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    clock = Clock()
    with chosen_by(Selection(Trials(tmp_path / "file" / "kernels.json", "M", clock))):
        function_of(lambda x: x + x, "fast", clock)(X)
    assert "could not be kept" in caplog.text


@pytest.mark.parametrize("wanted", ["eager", "any"])
def test_where_backends_are_asked_for_nothing_is_tried(wanted: str) -> None:
    clock = Clock()
    selection = Selection(Trials(timer=clock))
    with chosen_by(selection), use_backend(wanted):
        function_of(lambda x: x + x, "fast", clock)(X)
    assert not clock.asked and selection.served == {"f": {"eager" if wanted == "eager" else "triton"}}
    assert selection.summary() == ("f eager; not f triton: eager is asked for" if wanted == "eager" else "f triton")


def test_what_is_sure_is_not_tried() -> None:
    clock = Clock()
    sure = Backend("flat", lambda x: 2 * x, sure=True)
    with chosen_by(Selection(Trials(timer=clock))):
        Function("f", ("x",), (sure, Backend("eager", lambda x: 2 * x)))(X)
    assert not clock.asked


def test_weights_in_another_state_are_looked_at_anew() -> None:
    clock = Clock()
    selection = Selection(Trials(timer=clock))
    selection.renew("resident")
    with chosen_by(selection):
        function_of(lambda x: x + x, "fast", clock)(X)
    selection.renew("resident")
    assert selection.known
    selection.renew("streamed")
    assert not selection.known


class NVML:
    """NVIDIA's library of that name as its Python package has it, which PyTorch carries along where it is installed."""

    class NVMLError(Exception):
        pass

    def __init__(self, release: str | None) -> None:
        self.release = release

    def nvmlInit(self) -> None:
        if self.release is None:
            raise self.NVMLError("no driver")

    def nvmlSystemGetDriverVersion(self) -> str | None:
        return self.release


@pytest.mark.parametrize(("library", "said"), [
    (NVML("550.54.15"), "driver 550.54.15"), (NVML(None), "driver for CUDA 12040"), (None, "driver for CUDA 12040")])
def test_the_machine_is_told_apart_by_its_software(monkeypatch: pytest.MonkeyPatch, library: NVML | None, said: str) -> None:
    """Releases of a driver share a CUDA version, which is what PyTorch itself tells."""
    monkeypatch.setattr(torch.cuda, "pynvml", library, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_getDriverVersion", lambda: 12040, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch.__version__ in software("1.2.3") and "pack 1.2.3" in software("1.2.3") and f", {said}, " in software()


def calls_of(call: Callable[[], object]) -> list[str]:
    """Names of the Python functions and built-in ones that a call goes through."""
    names: list[str] = []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, what: names.append(getattr(what, "__qualname__", frame.f_code.co_name))
                   if event in ("call", "c_call") else None)
    try:
        call()
    finally:
        sys.setprofile(before)
    return names[:-1]  # the last one is what ends the counting


def test_a_remembered_call_is_a_few_looks() -> None:
    """Two microseconds on a fast machine, six on a slow one: so it is held to what it does, which no machine changes.

    Fifteen calls: the kernel's, the key's six parts of the context and the first input, two or one for each other input.
    """
    norm, x, affine, added = GroupNorm(1, 4), torch.ones(2, 4, 3, 3), torch.ones(2, 8), torch.ones(4)
    function = Function("f", ("x", "norm", "act", "affine", "added"), (
        Backend("flat", lambda *inputs: None, (lambda inputs: "not today",)), Backend("eager", lambda *inputs: None)))

    def call() -> object:
        return function(x, norm, "silu", affine, added)

    with chosen_by(Selection()):
        first, remembered = calls_of(call), calls_of(call)
    assert len(remembered) <= 17 < 2 * len(remembered) < len(first), (remembered, len(first))
