"""The card says what the weights are, written by the code that exports them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mini.card import FIGURES, card, parameters
from mini.settings import SETTINGS

MINI = Path(__file__).resolve().parents[2] / "models" / "show1-mini"


@pytest.fixture
def folder(tmp_path):
    """The shipped weights; what they learnt does not matter here."""
    return Path(shutil.copytree(MINI, tmp_path / "mini"))


def test_the_card_tells_sizes_training_settings_and_licence(folder):
    text = card(folder)
    told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    for stage, run in told.items():
        assert f"| {stage} | {run['steps']:,} | {run['plan']['batch']} | {run['plan']['learning_rate']} |" in text
    for stage, setting in SETTINGS.items():
        assert f"| {stage} | {setting.steps} | {setting.guidance} | {setting.denoise} |" in text
        assert f"{parameters(MINI / stage / 'unet' / 'diffusion_pytorch_model.safetensors'):.2f} M" in text
    assert "GPL-3.0-or-later" in text and "## What it reaches" in text
    (folder / FIGURES).unlink()
    assert "## What it reaches" not in card(folder)


def test_measured_figures_are_on_the_card(folder):
    score = {"colour": 0.97, "solid": 0.5, "motion": 0.875, "place": 1.0, "every": 0.4, "pair": None, "clips": 64}
    (folder / FIGURES).write_text(json.dumps({"keyframes": {"score": score, "shuffled": {"every": 0.01}}}), encoding="utf-8")
    assert "| keyframes | 64 | 97.0% | 50.0% | 87.5% | 100.0% | 40.0% | 1.0% |" in card(folder)
