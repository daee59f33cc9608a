"""The judge of the small world is right about rendered clips, falls to chance when prompts are shuffled, and can be wrong."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks import judge_self_test as self_test
from mini.card import FIGURES, figures
from mini.grammar import Kind, Other
from mini.recipes import MIDDLE
from mini.render import render
from mini.world import frame_times, scene_of

JUDGE = Path(__file__).parents[2] / "benchmarks" / "judge.py"
KEYFRAMES, ENLARGED, VIDEO, *WORN = self_test.CASES


@pytest.fixture(scope="module")
def judge():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(JUDGE.parent))
        yield importlib.import_module("judge")


def drawn(case, count, pairs=0.0, seed=0):
    """Frames of scenes, and a caption of each in any words."""
    frames, prompts = zip(*islice(self_test.clips(case, pairs, seed), count), strict=True)
    return list(frames), list(prompts)


def clip_of(kind, size=MIDDLE, times=None):
    scene = scene_of(np.random.default_rng(0), kind)
    return self_test.to_bytes(render([scene], frame_times() if times is None else times, size)[0])


@pytest.mark.parametrize("case, pairs, count, least", [
    (KEYFRAMES, 0.0, 150, 0.99), (KEYFRAMES, 1.0, 100, 0.99), (ENLARGED, 0.5, 20, 1.0), (VIDEO, 0.5, 4, 1.0)])
def test_rendered_clips_are_named_rightly(case, pairs, count, least):
    score = self_test.judged(case, pairs, 0, count)
    assert min(score.colour, score.solid, score.motion, score.place, score.every) >= least
    assert score.pair is None or score.pair >= least


@pytest.mark.parametrize("pairs", [0.0, 1.0])
@pytest.mark.parametrize("case", WORN, ids=lambda case: f"{case.degrade.__name__}-{case.size[1]}")
def test_degraded_clips_are_named_rightly(case, pairs):
    score = self_test.judged(case, pairs, 2, 40)
    assert min(score.colour, score.solid, score.motion, score.place) >= 0.95


def test_a_judge_that_is_wrong_is_told_so(monkeypatch):
    """One that sees in every clip what the first shows."""
    frames, _ = drawn(KEYFRAMES, 1)
    seen = self_test.judge(frames[0])
    monkeypatch.setattr(self_test, "judge", lambda frames: seen)
    score = self_test.judged(KEYFRAMES, 0.0, 0, 20)
    assert score.clips == 20 and score.every < 0.2
    assert self_test.row(KEYFRAMES, 0.0, score).startswith("| as drawn | 8 of 32x20 | one | 20 |")


def test_shuffled_prompts_fall_to_chance(judge):
    frames, prompts = drawn(KEYFRAMES, 300)
    verdicts = [judge.judge(clip) for clip in frames]
    score = judge.score(verdicts, judge.shuffled(prompts))
    chance = {"colour": 1 / 8, "solid": 1 / 3, "motion": 1 / 8, "place": 1 / 6, "every": 1 / 1152}
    for part, share in chance.items():
        assert abs(getattr(score, part) - share) < 4 * (share * (1 - share) / 300) ** 0.5 + 1 / 300, part


def test_a_clip_of_nothing_has_a_place_and_no_solid(judge):
    verdict = judge.judge(np.full((8, 20, 32, 3), 115, np.uint8))
    assert verdict == judge.Verdict(place="gray")


@pytest.mark.parametrize("solid", ["ball", "cube", "cone"])
def test_a_solid_that_is_seldom_seen_is_named(judge, solid):
    """Frames without it say nothing of its form."""
    frames = clip_of(Kind("red", solid, "moving left", "black"), times=np.array([0.4, 0.5]))
    shown = judge.judge(np.concatenate([np.zeros((1, *MIDDLE, 3), np.uint8), frames, np.zeros((1, *MIDDLE, 3), np.uint8)]))
    assert shown.first is not None and shown.first.solid == solid


def test_a_solid_at_rest_has_no_motion(judge):
    still = np.repeat(clip_of(Kind("red", "ball", "moving left", "day"), times=np.array([0.5])), 8, axis=0)
    assert judge.judge(still).first == judge.Seen("red", "ball", judge.UNKNOWN)


@pytest.mark.parametrize("motion, backwards", [("moving up", "moving down"), ("growing", "shrinking"),
                                               ("moving left", "moving right"), ("bouncing", "bouncing")])
def test_a_reversed_clip_moves_the_other_way(judge, motion, backwards):
    clip = clip_of(Kind("blue", "cube", motion, "white"))
    assert judge.judge(clip).first.motion == motion
    assert judge.judge(clip[::-1]).first.motion == backwards


def test_exchanged_colours_are_noticed(judge):
    kind = Kind("red", "ball", "moving right", "day", Other("above", "blue", "cube"))
    verdict = judge.judge(clip_of(kind))
    assert judge.score([verdict], [kind.caption]).pair == 1
    assert judge.score([verdict], ["a blue ball moving right above a red cube by day"]).pair == 0


@pytest.mark.parametrize("prompt, first, place, second, relation", [
    ("A purple triangle moving down on a white background", ("purple", "cone", "moving down"), "white", None, "unknown"),
    ("a cyan box runs in a circle", ("cyan", "cube", "circling"), "black", None, "unknown"),
    ("a red circle goes away under the night sky", ("red", "ball", "shrinking"), "night", None, "unknown"),
    ("a red ball rises left of a pink box in the evening", ("red", "ball", "moving up"), "sunset",
     ("pink", "cube", "at rest"), "left of"),
    ("a melon waits", ("unknown", "unknown", "unknown"), "black", None, "unknown")])
def test_prompts_are_read(judge, prompt, first, place, second, relation):
    asked = judge.claim_of(prompt)
    assert asked == judge.Verdict(judge.Seen(*first), place, second and judge.Seen(*second), relation)


def test_wrong_input_is_refused(judge):
    with pytest.raises(ValueError, match="uint8"):
        judge.judge(np.zeros((8, 20, 32, 3), np.float32))


def test_command_line(tmp_path):
    frames, prompts = drawn(ENLARGED, 1)
    np.save(tmp_path / "clip.npy", frames[0])
    run = subprocess.run([sys.executable, str(JUDGE), str(tmp_path / "clip.npy"), prompts[0]], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "every 100.0%" in run.stdout


@pytest.mark.parametrize("seen, label, right", [
    ({"solid": "ball"}, "a red ball moving up", True),
    ({"colour": "blue", "solid": "ball"}, "a red ball moving up: seen as blue", False),
    ({"motion": "unknown", "place": "day"}, "a red ball moving up: seen as unknown, day", False),
    ({"beside": "above blue cube"}, "a red ball moving up: seen as above blue cube", False),
])
def test_the_sheet_says_what_was_seen_instead(sheet, seen, label, right):
    shown = {"colour": "red", "solid": "ball", "motion": "moving up", "place": "black", "beside": ""}
    assert sheet.caption("a red ball moving up", shown | seen) == (label, right)


def test_the_sheet_says_that_a_solid_is_alone(sheet, judge):
    prompt = "a red ball moving left above a blue cube"
    shown = judge.parts_of(judge.claim_of(prompt)) | {"beside": ""}
    assert sheet.caption(prompt, shown) == (f"{prompt}: seen as alone", False)


@pytest.mark.parametrize("count, frames", [(1, 29), (5, 8), (9, 1)])
def test_every_video_is_on_the_sheet(sheet, judge, count, frames):
    videos = [np.full((frames, 20, 32, 3), 20 * number + 60, np.uint8) for number in range(count)]
    seen = [judge.parts_of(judge.claim_of("a red ball moving up"))] * count
    picture = np.asarray(sheet.contact_sheet(videos, ["a red ball moving up"] * count, seen))
    assert {20 * number + 60 for number in range(count)} <= set(np.unique(picture).tolist())


def test_the_card_reads_the_figures_of_the_cascade(monkeypatch, tmp_path):
    """The right one of two clips, after every stage."""
    for folder in ("scripts", "benchmarks"):
        monkeypatch.syspath_prepend(str(JUDGE.parents[1] / folder))
    cascade = importlib.import_module("judge_cascade")
    frames, prompts = drawn(KEYFRAMES, 2)
    stages = (*cascade.ON_THE_WAY, cascade.VIDEO)
    assert cascade.report({stage: [frames[0]] * 2 for stage in stages}, prompts, tmp_path, tmp_path / FIGURES) == 1
    told = json.loads((tmp_path / FIGURES).read_text(encoding="utf-8"))
    assert tuple(told) == stages and all(set(of) == {"score", "shuffled"} for of in told.values())
    assert figures(told).splitlines()[-1].startswith("| video | 2 |")
    assert "clips" in json.loads((tmp_path / "judge.json").read_text(encoding="utf-8"))["video"]


@pytest.fixture
def sheet(judge, monkeypatch):
    monkeypatch.syspath_prepend(str(JUDGE.parent))
    return importlib.import_module("judge_sheet")
