"""The self-test of a machine, and the official code in a process of its own, played by a stand-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import check
from show1_core.kernels import Backend, Function
from show1_core.stages import KEYFRAMES

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
