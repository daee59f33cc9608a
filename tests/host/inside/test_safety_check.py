"""Frames looked at by a checker that lies in the user's folders, here tiny ones with random weights."""

from __future__ import annotations

import re

import folder_paths
import pytest
import torch
from test_safety import pictures, write_checker

COUNT = 8


@pytest.fixture(params=["sd", "if"])
def node(pack, tmp_path, monkeypatch, request):
    """The node, with one checker in models/clip_vision and none elsewhere."""
    write_checker(tmp_path / "safety_checker", request.param)
    for kind in ("clip_vision", "diffusers"):
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, ([str(tmp_path)] if kind == "clip_vision" else [], set()))
    return pack("nodes.safety").Show1SafetyCheck


def scores_of(told: str) -> dict[int, float]:
    """The worst score of every frame that was told of."""
    return {int(place): max(float(score) for score in re.findall(r"[+-]\d+\.\d+", line))
            for place, line in re.findall(r"frame (\d+): (.*)", told)}


@pytest.fixture
def checked(node):
    """Frames, those that score worst, and a border between these and the others."""
    frames = pictures(COUNT)
    scores = scores_of(node.execute(frames, "safety_checker", "flag", 0.0).args[2])
    worst, next_worst, *_ = sorted(set(scores.values()), reverse=True)
    return frames, [place for place, score in scores.items() if score == worst], (worst + next_worst) / 2


@pytest.mark.parametrize("action", ["flag", "blur", "black"])
def test_what_is_flagged_is_told_and_hidden_as_asked(node, checked, action) -> None:
    frames, worst, border = checked
    images, flagged, told = node.execute(frames, "safety_checker", action, border).args
    others = [place for place in range(COUNT) if place not in worst]
    assert flagged is True and torch.equal(images[others], frames[others])
    assert [place for place, line in enumerate(told.splitlines()) if line.endswith("flagged")] == worst
    if action == "flag":
        assert torch.equal(images, frames)
    else:
        assert action == "blur" or not images[worst].any()
        assert images[worst].std() < 0.9 * frames[worst].std()


def test_where_nothing_is_flagged_frames_are_the_same(node, checked) -> None:
    frames, _, _ = checked
    images, flagged, told = node.execute(frames, "safety_checker", "black", 10.0).args
    assert flagged is False and torch.equal(images, frames) and "flagged" not in told


def test_every_nth_frame_and_the_last(node, checked) -> None:
    told = node.execute(checked[0], "safety_checker", "flag", 0.0, 3).args[2]
    assert list(scores_of(told)) == [0, 3, 6, 7]


@pytest.mark.parametrize("changed, sentence", [
    ({"checker": "absent"}, "checker 'absent' is not there; models/clip_vision or models/diffusers has safety_checker"),
    ({"action": "shout"}, "action 'shout' is unknown here; expected one of flag, blur, black"),
    ({"images": torch.full((1, 8, 8, 3), float("nan"))}, "NaN or infinity"),
])
def test_what_cannot_be_checked_is_refused_in_a_sentence(node, changed, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        node.execute(**{"images": pictures(1), "checker": "safety_checker", "action": "flag", "threshold": 0.0} | changed)


@pytest.mark.parametrize("folder", ["example_workflows", "subgraphs"])
def test_no_template_has_it(folder: str) -> None:
    from pathlib import Path

    files = list((Path(__file__).resolve().parents[3] / folder).glob("*.json"))
    assert files and not [file for file in files if "Show1SafetyCheck" in file.read_text(encoding="utf-8")]
