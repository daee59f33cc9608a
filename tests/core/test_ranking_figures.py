"""The benchmark of the scorer counts what it says, and draws no take twice."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ranking() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPO / "benchmarks"))
        return importlib.import_module("ranking")


@pytest.mark.parametrize(("scores", "right", "random", "top", "possible"), [
    ([(0.1, 0.9), (0.9, 0.1)], [(False, True), (True, False)], 0.5, 1.0, 1.0),
    ([(0.1, 0.9), (0.9, 0.1)], [(True, False), (False, True)], 0.5, 0.0, 1.0),
    ([(0.5, 0.5), (0.1, 0.2)], [(True, False), (False, False)], 0.25, 0.5, 0.5),  # of equal scores the first is the top
])
def test_known_shares(ranking: ModuleType, scores: list[tuple[float, ...]], right: list[tuple[bool, ...]], random: float,
                      top: float, possible: float) -> None:
    found = ranking.figures(np.array(scores), np.array(right))
    assert (found.random, found.top, found.possible) == (random, top, possible)
    assert found.gain == pytest.approx(top - random) and found.gain_from <= found.gain <= found.gain_to


def drawn_by_chance(prompts: int, weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores that know as far as `weight` says which takes are right, as half of them are."""
    rng = np.random.default_rng(4)
    right = rng.uniform(size=(prompts, 8)) < 0.5
    return rng.normal(size=right.shape) + weight * right, right


def test_a_scorer_that_knows_nothing_gains_nothing_within_the_interval(ranking: ModuleType) -> None:
    blind = ranking.figures(*drawn_by_chance(64, 0.0))
    assert blind.gain_from < 0 < blind.gain_to
    # the interval of a mean of 64 gains, each of a deviation of a half or a little more
    assert 0.2 < blind.gain_to - blind.gain_from < 0.3
    assert ranking.figures(*drawn_by_chance(64, 2.0)).gain_from > 0.1


def test_takes_that_are_there_are_not_drawn_again(ranking: ModuleType, tmp_path: Path) -> None:
    class Counting:
        calls = 0

        def keyframes(self, prompts: list[str], seed: int) -> torch.Tensor:
            self.calls += 1
            return torch.full((len(prompts), 3, 8, 4, 6), -1.0)

    mini, file = Counting(), tmp_path / "0.npy"
    for count, calls in ((2, 1), (2, 1), (3, 2)):  # fewer are there than are wanted
        takes = ranking.takes_of(mini, "a red ball", count, file, 0)
        assert takes.shape == (count, 8, 4, 6, 3) and takes.dtype == np.uint8 and mini.calls == calls
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(("changed", "apart"), [
    ({}, False), ({"steps": 4}, True), ({"guidance": 5.0}, True), ({"seed": 1}, True), ({"weights": "unet"}, True),
    ({"weights": "text_encoder"}, True), ({"weights": "scorer"}, False)])
def test_takes_drawn_otherwise_are_kept_apart(ranking: ModuleType, tmp_path: Path, changed: dict[str, Any], apart: bool) -> None:
    files = {part: tmp_path / "keyframes" / part / "model.safetensors" for part in ("unet", "text_encoder")}
    files["scorer"] = tmp_path / "scorer" / "model.safetensors"
    for file in files.values():
        file.parent.mkdir(parents=True)
        file.write_bytes(b"as they were")
    first = ranking.Drawn(11, 5, 1.0, ranking.weights_of(tmp_path))
    if "weights" in changed:
        files[changed["weights"]].write_bytes(b"trained anew")
    other = replace(first, **{**changed, "weights": ranking.weights_of(tmp_path)})
    assert (other.folder != first.folder) == apart


def test_the_command_draws_as_asked_and_writes_what_its_figures_are_of(
        ranking: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Noise:
        def __init__(self, models: Path, tokenizer: Path, settings: dict[str, Any]) -> None:
            asked.append((settings["keyframes"].steps, settings["keyframes"].guidance))

        def keyframes(self, prompts: list[str], seed: int) -> torch.Tensor:
            return torch.rand((len(prompts), 3, 8, 20, 32), generator=torch.Generator().manual_seed(seed)) * 2 - 1

    monkeypatch.setattr(ranking, "Mini", Noise)
    for options in ([], ["--guidance", "2", "--steps", "3"]):
        assert ranking.main(["--tokenizer", "none", "--prompts", "2", "--takes", "2", "--output", str(tmp_path / "takes"),
                             "--figures", str(tmp_path / "figures.json"), *options]) == 0
        told = json.loads((tmp_path / "figures.json").read_text())
        assert (told["steps"], told["guidance"]) == asked[-1] and told["weights"] == ranking.weights_of(ranking.MINI)
        assert len(told["scorer"]) == 64 and len(told["prompts"]) == 2 and told["every"]["takes"] == 2
    assert asked == [(5, 5.0), (3, 2.0)] and len(list((tmp_path / "takes").iterdir())) == 2
