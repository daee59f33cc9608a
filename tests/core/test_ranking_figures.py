"""The benchmark of the scorer counts what it says, and draws no take twice."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

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
