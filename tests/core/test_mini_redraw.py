"""The second training of the enlarging stages sees what it says: early timesteps, and patches where edges are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_mini_device import TASKS

from mini import recipes
from mini.redraw import steepness
from mini.tasks import SuperResolution, clips, spans
from mini.world import draw
from show1_core.cascade import enlarge


@pytest.mark.parametrize("stage, last, expected, below, share", [
    ("first-frame-edges", 1000, 750, 250, 1 / 3), ("sr1-edges", 1000, 650, 325, 1 / 2), ("sr2-early", 900, 900, 300, 2 / 3)])
def test_timesteps_are_where_the_stage_is_used(stage, last, expected, below, share):
    found = TASKS[stage]().timesteps(6000, torch.Generator().manual_seed(0), last)
    assert found.min() >= 0 and 0.99 * expected < found.max() < expected
    assert float((found < below).float().mean()) == pytest.approx(share, abs=0.02)


def test_patches_have_more_edges_than_any():
    task, data = TASKS["sr1-edges"](), np.random.default_rng(0)
    steep = {"chosen": 0.0, "any": 0.0}
    for _ in range(24):
        condition = enlarge(clips(draw(data, 1), spans(data, 1, 1), recipes.LOW), 4)
        steep["chosen"] += steepness(condition[task.window(condition, data)])
        steep["any"] += steepness(condition[SuperResolution.window(task, condition, data)])
    assert steep["chosen"] > 1.2 * steep["any"]
