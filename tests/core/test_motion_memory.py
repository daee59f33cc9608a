"""Training of the published keyframe model fits: live tensors of a step on the meta device."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
memory = importlib.import_module("motion_memory")
GIGABYTE = 1e9


def test_a_lora_of_rank_32_with_checkpointing_fits_into_twelve_gigabytes():
    need = memory.need_of(32, True)
    assert need.together < 12 * GIGABYTE
    assert need.weights == pytest.approx(3.4 * GIGABYTE, rel=0.05)
    assert need.optimiser == 16 * 32 * 257_280, "four copies in float32 of what VMC trains, at rank 32"


def test_checkpointing_is_what_saves():
    again, kept = memory.need_of(32, True, size="mini"), memory.need_of(32, False, size="mini")
    assert again.step < 0.7 * kept.step and again.weights == kept.weights


def test_whole_matrices_are_those_of_vmc():
    assert memory.need_of(0, True).optimiser == 16 * 134_553_600
