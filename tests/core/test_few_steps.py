"""The comparison of few steps with the published ones asks for what it says."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from test_search import NODES

from show1_core.stages import STAGES

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    return importlib.import_module("few_steps")


def test_every_way_sets_the_steps_of_every_stage(few_steps: ModuleType) -> None:
    workflow = json.loads((REPO / "example_workflows" / "Show-1 mini text to video (CPU).json").read_text(encoding="utf-8"))
    (cascade,) = workflow["definitions"]["subgraphs"]
    types = {node["title"]: node["type"] for node in cascade["nodes"]}
    ways = few_steps.ways(["a prompt"])
    for title, stage in zip(few_steps.TITLES, STAGES, strict=True):
        assert types[title] == NODES[stage.name]
        assert ways["published steps"].changes[f"{title}.steps"] == str(stage.steps)
        assert ways["few steps"].changes[f"{title}.steps"] == str(stage.few_steps)
    assert ways["few steps, other seeds"].first_seed != ways["few steps"].first_seed == ways["published steps"].first_seed


@pytest.mark.parametrize("levels, expected", [(255, 0.0), (25.5, 20.0), (2.55, 40.0)])
def test_psnr(few_steps: ModuleType, levels: float, expected: float) -> None:
    black = np.zeros((2, 4, 4, 3))
    assert math.isclose(few_steps.psnr(black, black + levels), expected, abs_tol=1e-9)
