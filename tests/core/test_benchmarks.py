"""The self-test of a machine, and the official code in a process of its own, played by a stand-in."""

from __future__ import annotations

import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import cases, check
from show1_core.kernels import Backend, Function
from show1_core.stages import KEYFRAMES, PIXEL_SR

REPO = Path(__file__).resolve().parents[2]

STAND_IN = """
import torch
class UNet3DConditionModel(torch.nn.Module):
    @classmethod
    def from_config(cls, config):
        return cls()
    def forward(self, sample, timestep, encoder_hidden_states, class_labels=None):
        assert sample.shape[0] == 2 and encoder_hidden_states.shape[:2] == (2, 77)
        return sample
"""


def test_without_a_card_the_cpu_is_checked_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(check, "STAGES", (KEYFRAMES,))
    lines: list[str] = []
    assert check.check(lines.append) == 0
    text = "\n".join(lines)
    for part in ("self-test", "No card here", "group_norm triton 16x32x8x8", "not here: the tensors are on cpu, not on a GPU",
                 "convolution flat 2x32x8x8x8      right", "keyframes (mini)                 right", "MB beside the weights",
                 "convolution eager/flat", "All of it is right."):
        assert part in text, text
    assert len(lines) < 40 and max(map(len, lines)) < 400, "a screen"


@pytest.mark.parametrize(("run", "said"), [
    (lambda x: 2 * x, "right"), (lambda x: 2.1 * x, "WRONG"), (lambda x: x * float("nan"), "WRONG")])
def test_what_is_wrong_is_told(run: object, said: str) -> None:
    report = check.Report([], [])
    function = Function("f", ("x",), (Backend("triton", run), Backend("eager", lambda x: 2 * x)))  # type: ignore[arg-type]
    check.check_function(function, (torch.ones(2, 3),), report)
    assert said in report.lines[0] and bool(report.wrong) == (said == "WRONG")


def test_the_prediction_is_of_the_card_at_hand() -> None:
    for name, card in (("NVIDIA H100 80GB HBM3", "H100 SXM"), ("NVIDIA A100-SXM4-80GB", "A100 80 GB"), ("Tesla T4", "T4"),
                       ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("NVIDIA GeForce RTX 3090", "RTX 3090"), ("NVIDIA H200", "H200")):
        found = check.card_of(name)
        assert found is not None and found.name == card
    assert check.card_of("NVIDIA GeForce GTX 1080") is None


@pytest.fixture
def one_stage(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The self-test on a CPU, of no functions and two stages; what it tells."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(check, "STAGES", (KEYFRAMES, PIXEL_SR))
    monkeypatch.setattr(check, "inputs_of", lambda where: iter([("gated", (torch.ones(2, 4),))]))
    return []


@pytest.mark.parametrize("short", ["check_function", "check_stage"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()], ids=["card", "machine"])
def test_a_check_that_memory_does_not_hold_is_told_and_the_others_go_on(
        monkeypatch: pytest.MonkeyPatch, one_stage: list[str], short: str, error: Exception) -> None:
    def done(what: Any, *others: Any) -> None:
        if what.name == ("gated" if short == "check_function" else "keyframes"):
            raise error
        others[-1].add(what.name, 0.0, 1.0, "")

    for name in ("check_function", "check_stage"):
        monkeypatch.setattr(check, name, done)
    assert check.check(one_stage.append) == 1, "it is not known whether all is right"
    text = "\n".join(one_stage)
    skipped = "gated 2x4" if short == "check_function" else "keyframes (mini)"
    assert f"{skipped:32s} not enough memory" in text and "sr1                              right" in text
    assert one_stage[-1] == f"What ran is right; there was not enough memory for {skipped}."


def test_any_other_error_is_one(monkeypatch: pytest.MonkeyPatch, one_stage: list[str]) -> None:
    monkeypatch.setattr(check, "check_function", lambda *_: None)
    monkeypatch.setattr(check, "check_stage", lambda *_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        check.check(one_stage.append)


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)])
def test_a_card_without_bf16_is_checked_in_fp16(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int],
                                                dtype: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert (check.here().dtype, check.here().device) == (dtype, "cuda")


def test_the_reference_is_gone_before_the_stage_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of 8 GB holds one of them at a time. In float32 both are networks of the same kind, made one after the other."""
    made: list[weakref.ref[Any]] = []

    def case(*arguments: Any) -> Any:
        assert not [one for one in made if one() is not None], "there is another network in memory"
        one = cases.case(*arguments)
        made.append(weakref.ref(one.unet))
        return one

    monkeypatch.setattr(check, "case", case)
    with torch.inference_mode():
        check.check_stage(KEYFRAMES, check.CPU, None, report := check.Report([], []))
    assert len(made) == 2 and not report.wrong


@pytest.mark.parametrize(("seconds", "marked"), [(1e-6, True), (1e6, False)])
def test_a_stage_that_takes_longer_than_predicted_is_marked(seconds: float, marked: bool) -> None:
    class Paper:
        kernels = True

        def seconds(self, kernels: list[Any]) -> float:
            counted.extend(kernels)
            return seconds

    counted: list[Any] = []
    with torch.inference_mode():
        check.check_stage(KEYFRAMES, check.CPU, Paper(), report := check.Report([], []))  # type: ignore[arg-type]
    assert ("SLOW: " in report.lines[0]) is marked and not report.wrong
    assert len(counted) == len(check.our_step(cases.SIZES["mini"], KEYFRAMES)), "inference mode hides operations from the count"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "benchmarks/run.py", "--size", "mini", "--stage", "keyframes", *arguments], cwd=REPO,
                          capture_output=True, text=True)


@pytest.mark.slow  # ten seconds: two processes that import everything
def test_the_official_code_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    models = tmp_path / "showone" / "models"
    models.mkdir(parents=True)
    (models / "unet_3d_condition.py").write_text(STAND_IN)
    ran = run("--official", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "| mini | keyframes |" in ran.stdout.splitlines()[-1]
    (models / "unet_3d_condition.py").write_text("raise ImportError('an older diffusers')")
    ran = run("--official", str(tmp_path))
    assert ran.returncode == 1 and "an older diffusers" in ran.stdout


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    ran = run("--official", str(tmp_path))
    assert ran.returncode == 1 and "holds no showone/models/unet_3d_condition.py" in ran.stdout
