"""The comparison with the mini's recorded scores lets chance pass and stops a drop."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RIGHT = {"colour": "red", "solid": "ball", "motion": "moving up", "place": "white", "beside": ""}


@pytest.fixture
def regression(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("regression")


def judged(wrong: list[int], count: int = 8, stages: int = 4) -> dict:
    """judge.json of videos that all promise the same, of which clip `number` is wrong in so many stages."""
    return {f"stage {stage}": {"clips": [
        {"prompt": f"a red ball moving up on a white background {number}", **(
            RIGHT if stage >= failures else {**RIGHT, "colour": "unknown", "motion": "unknown"})}
        for number, failures in enumerate([*wrong, *[0] * (count - len(wrong))])]} for stage in range(stages)}


@pytest.mark.parametrize("before, now, drop", [
    ([], [], False),
    ([1], [1], False),
    ([], [1], False),
    ([], [4], False),
    ([], [1, 1], False),
    ([2, 1], [1, 2], False),
    ([4, 4], [], False),
    ([], [4, 4, 4, 4], True),
    ([], [1] * 8, True),
    ([1, 1], [3, 3, 2, 2, 2, 0, 0, 0], True),
], ids=str)
def test_a_drop_is_more_than_two_standard_errors(regression, before, now, drop):
    shares = [regression.shares_of(judged(wrong)) for wrong in (before, now)]
    assert regression.change(*shares).is_a_drop is drop


def test_other_prompts_are_no_comparison(regression):
    with pytest.raises(ValueError, match="8 recorded prompts, 4 judged"):
        regression.change(*(regression.shares_of(judged([], count)) for count in (8, 4)))


def test_the_record_is_of_the_mini_that_ships(regression):
    recorded = json.loads(regression.RECORD.read_text())
    assert recorded["weights"] == regression.weights_digest(), "judge eight prompts and record them: see benchmarks/regression.py"
    assert len(recorded["shares"]) == 8


@pytest.mark.parametrize("wrong, code", [([], 0), ([4] * 8, 1)])
def test_the_command_says_it_with_its_exit_code(regression, tmp_path, monkeypatch, wrong, code):
    monkeypatch.setattr(regression, "RECORD", tmp_path / "record.json")
    for name, content in (("before", judged([])), ("now", judged(wrong))):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert regression.main([str(tmp_path / "before.json"), "--record"]) == 0
    assert regression.main([str(tmp_path / "now.json")]) == code


def test_a_mini_with_other_weights_is_to_be_recorded_anew(regression, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(regression, "RECORD", tmp_path / "record.json")
    (tmp_path / "judged.json").write_text(json.dumps(judged([])))
    regression.main([str(tmp_path / "judged.json"), "--record"])
    monkeypatch.setattr(regression, "weights_digest", lambda: "other")
    assert regression.main([str(tmp_path / "judged.json")]) == 1 and "record them anew" in capsys.readouterr().out
