"""What the page says of the core's caches, on the mini that ships: some rows of the table of benchmarks/host_caches.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow  # the mini draws a clip for each
PROMPT, STEPS, SEED, END = "a red ball moving right", 20, 0, 0.95

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
from judge_frames import Seen, judge  # noqa: E402


@pytest.mark.parametrize("cache, threshold, start, calls, right", [
    ("EasyCache", 0.05, 0.15, range(8, 13), True), ("EasyCache", 0.5, 0.15, range(4, 9), False),
    ("LazyCache", 0.2, 0.4, range(9, 14), False), ("LazyCache", 0.5, 0.6, range(12, 17), False)])
def test_what_a_cache_saves_and_spoils(mini, mini_recipe, mini_text, cache, threshold, start, calls, right) -> None:
    import nodes

    size, counted = mini_recipe["keyframes"], []
    node = getattr(importlib.import_module("comfy_extras.nodes_easycache"), f"{cache}Node")
    model = node.execute(mini("keyframes"), threshold, start, END, False).args[0]
    empty = {"samples": torch.zeros(1, 3, size["frames"], size["height"], size["width"])}
    hook = model.model.diffusion_model.conv_in.register_forward_hook(lambda *_: counted.append(1))
    try:
        out, = nodes.KSampler().sample(model, SEED, STEPS, size["guidance"], "euler", "normal", *mini_text(PROMPT), empty)
    finally:
        hook.remove()
    frames = (out["samples"][0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)
    assert len(counted) in calls
    assert (judge((frames * 255).byte().numpy()).first == Seen("red", "ball", "moving right")) is right
