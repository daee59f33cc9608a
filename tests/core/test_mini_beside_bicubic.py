"""The enlarging stages are measured beside bicubic, and the card says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mini import beside_bicubic, card, evaluate, expert
from mini.recipes import T5_RECIPE

MINI = Path(__file__).resolve().parents[2] / "models" / "show1-mini"
MEASURED = ("psnr", "edges", "bicubic_psnr", "bicubic_edges", "ahead")


@pytest.fixture
def untold(monkeypatch):
    """The shipped weights on two frames a clip, under text that says nothing: it takes no tokenizer, and is hardly heard."""
    def short(count):
        return [expert.Sample(one.caption, one.low[:2], one.middle[:2], one.high[:2]) for one in expert.held_out(count)]

    monkeypatch.setattr(beside_bicubic, "held_out", short)
    monkeypatch.setattr(evaluate, "Tokenizer", lambda folder: None)
    monkeypatch.setattr(evaluate.Mini, "_text", lambda *_: lambda said: torch.zeros(len(said), 77, T5_RECIPE.d_model))


def test_two_clips_are_measured_and_told(untold, tmp_path):
    file = tmp_path / "figures.json"
    beside_bicubic.main(["--tokenizer", "unused", "--clips", "2", "--figures", str(file)])
    told = json.loads(file.read_text(encoding="utf-8"))
    assert (told["clips"], told["seed"]) == (2, beside_bicubic.SEED)
    rows = {row["stage"]: row for row in told["rows"]}
    assert list(rows) == [row.stage for row in beside_bicubic.ROWS]
    for row in rows.values():
        assert all(np.isfinite(row[name]).all() and row[name][1] >= 0 for name in MEASURED), row
        assert row["ahead"][0] == pytest.approx(row["psnr"][0] - row["bicubic_psnr"][0], abs=1e-3)
    # What is known of any weights that have learnt: more pixels given is nearer, and bicubic is the same for the same sizes.
    assert rows["autoencoder alone"]["psnr"][0] > rows["both super-resolutions"]["psnr"][0] > 20
    assert rows["pixel super-resolution"]["edges"][0] > rows["pixel super-resolution"]["bicubic_edges"][0] > 0
    assert rows["both super-resolutions"]["bicubic_psnr"] == rows["pixel super-resolution, then bicubic"]["bicubic_psnr"]
    assert rows["autoencoder alone"]["bicubic_psnr"] == rows["latent super-resolution alone"]["bicubic_psnr"]
    heading, said, table, *_ = card.beside(told)
    assert heading == "## Beside bicubic" and "over 2 held-out clips" in said and len(table.splitlines()) == 2 + len(rows)


def test_one_clip_is_refused(capsys):
    with pytest.raises(SystemExit):
        beside_bicubic.main(["--tokenizer", "unused", "--clips", "1"])
    assert "--clips is 1" in capsys.readouterr().err


def test_figures_are_means_and_errors_clip_by_clip():
    """Both vary by more than they differ."""
    plain = np.array([[20.0, 0.2], [30.0, 0.4]])
    row, = beside_bicubic.figures({beside_bicubic.FIRST: np.stack([plain + [1.0, 0.1], plain], axis=1)})["rows"]
    assert {name: row[name] for name in MEASURED} == {
        "psnr": [26.0, 5.0], "edges": [0.4, 0.1], "bicubic_psnr": [25.0, 5.0], "bicubic_edges": [0.3, 0.1], "ahead": [1.0, 0.0]}
    assert (row["from"], row["to"]) == ((32, 20), (128, 80))
