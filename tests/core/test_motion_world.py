"""What the motion benchmark draws is what it sees: paths, colours and style."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
world = importlib.import_module("motion_world")


def levels(clip: np.ndarray) -> np.ndarray:
    return (clip * 255).round().astype(np.uint8)


@pytest.mark.parametrize("name", world.MOTIONS)
@pytest.mark.parametrize("subject", [("red", "ball", "black"), ("blue", "cone", "day"), ("yellow", "cube", "sunset")])
def test_a_path_is_read_back_whatever_goes_along_it(name, subject):
    path = world.MOTIONS[name](world.TIMES)
    clip = levels(world.clip(path, *subject))
    correlation, amplitude = world.compared(clip, path)
    assert correlation > 0.98 and 0.9 < amplitude < 1.1 and world.colour_of(clip) == subject[0]
    for other, way in world.MOTIONS.items():
        if other != name:
            assert world.compared(clip, way(world.TIMES))[0] < 0.7, "paths are told apart"


def test_what_does_not_move_or_is_not_there_is_not_moved():
    still = world.clip(np.zeros((world.FRAMES, 2)), "red", "ball")
    assert world.compared(levels(still), world.zigzag(world.TIMES))[1] < 0.05
    assert world.compared(levels(np.zeros_like(still)), world.zigzag(world.TIMES)) == (0.0, 0.0)


def test_prompts_are_of_other_subjects_and_say_nothing_of_motion():
    prompts = world.prompts(24)
    assert len(prompts) == 24 and len(set(prompts)) == 14, "seven other colours of two other solids"
    assert not [prompt for prompt, _ in prompts if any(word in prompt for word in (*world.SUBJECT, "moving", "growing"))]


def test_style_is_measured_on_the_ground():
    clip = world.clip(world.diagonal(world.TIMES), "red", "ball")
    assert world.style_of(levels(clip)) == pytest.approx(0, abs=0.02)
    assert world.style_of(levels(world.with_style(clip))) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("strengths", [(1, 0), (0.75, 0.25), (0.5, 0.5), (0, 1)])
def test_shares_of_two_motions_are_read_back(strengths):
    several = importlib.import_module("motion_several")
    mix = several.Mix(dict(zip(several.TWO, strengths, strict=True)))
    clip = levels(world.clip(several.path_of(mix), "red", "ball"))
    assert several.shares(clip) == pytest.approx(strengths, abs=0.1)
    assert several.shares(np.zeros_like(clip)).tolist() == [0, 0]
