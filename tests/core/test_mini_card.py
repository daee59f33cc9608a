"""The card says what the weights are, written by the code that exports them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mini import card as cards
from mini.card import BESIDE, FIGURES, card, parameters
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


# By stage: PSNR ahead of bicubic with its error, edges of the stage and of bicubic.
AHEAD = {"one": ((0.5, 0.1), 0.6, 0.3), "another": ((-0.5, 0.1), 0.6, 0.7), "a third": ((0.15, 0.1), 0.6, 0.3)}


def test_what_was_measured_beside_bicubic_is_on_the_card(folder):
    (folder / BESIDE).unlink(missing_ok=True)
    assert "## Beside bicubic" not in card(folder)
    rows = [{"stage": stage, "from": [32, 20], "to": [128, 80], "bicubic_from": [32, 20], "psnr": [33.04, 0.26], "ahead": ahead,
             "edges": [edges, 0.01], "bicubic_psnr": [32.5, 0.3], "bicubic_edges": [plain, 0.02]}
            for stage, (ahead, edges, plain) in AHEAD.items()]
    (folder / BESIDE).write_text(json.dumps({"clips": 64, "seed": 5, "rows": rows}), encoding="utf-8")
    text = card(folder)
    assert "error over 64 held-out clips" in text
    assert "| one | 32x20, 128x80 | 33.0 ± 0.3, 0.60 ± 0.01 | 32.5 ± 0.3, 0.30 ± 0.02 | +0.50 ± 0.10 |" in text
    assert ("Nearer to the original than bicubic: one. Farther: another. Too near to bicubic to tell: a third. "
            "Edges steeper than bicubic's: one; a third.") in text


def test_bicubic_that_starts_elsewhere_is_marked(folder):
    row = {"stage": "one", "from": [256, 160], "to": [256, 160], "bicubic_from": [128, 80], "psnr": [1, 0], "edges": [1, 0],
           "bicubic_psnr": [1, 0], "bicubic_edges": [1, 0], "ahead": [0, 0]}
    assert "(from 128x80)" in cards.beside({"clips": 2, "rows": [row]})[2]


def test_the_shipped_card_is_what_the_code_writes():
    assert (MINI / "README.md").read_text(encoding="utf-8") == card(MINI)
