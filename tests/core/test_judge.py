"""The judge of the small world is right about rendered clips, falls to chance when prompts are shuffled, and can be wrong."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mini.grammar import Kind, Other, caption
from mini.render import render
from mini.world import draw, frame_times, keyframe_times, scene_of

JUDGE = Path(__file__).parents[2] / "benchmarks" / "judge.py"
LOW, MIDDLE, HIGH = (20, 32), (80, 128), (160, 256)


@pytest.fixture(scope="module")
def judge():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(JUDGE.parent))
        yield importlib.import_module("judge")


def to_bytes(frames):
    return (np.clip(frames, 0, 1) * 255).astype(np.uint8)


def clips(size, times, count, pairs=0.0, seed=0):
    """Frames of scenes, and a caption of each in any words."""
    rng = np.random.default_rng(seed)
    scenes = draw(rng, count, pairs=pairs)
    return [to_bytes(render([scene], times, size)[0]) for scene in scenes], [caption(rng, scene.kind) for scene in scenes]


def clip_of(kind, size=MIDDLE, times=None):
    return to_bytes(render([scene_of(np.random.default_rng(0), kind)], frame_times() if times is None else times, size)[0])


@pytest.mark.parametrize("size, times, count, pairs, least", [
    (LOW, keyframe_times(), 150, 0.0, 0.98),  # of the smallest balls some pass for cubes
    (LOW, keyframe_times(), 60, 1.0, 0.93),  # and the solids of a pair are smaller still
    (MIDDLE, frame_times(), 20, 0.5, 0.99),
    (HIGH, frame_times(), 4, 0.5, 0.99)])
def test_rendered_clips_are_named_rightly(judge, size, times, count, pairs, least):
    frames, prompts = clips(size, times, count, pairs)
    score = judge.score([judge.judge(clip) for clip in frames], prompts)
    assert min(score.colour, score.motion, score.place) >= 0.99
    assert score.solid >= 0.98 and score.every >= least


def noisy(clip, rng):
    return to_bytes(clip / 255 + rng.normal(0, 0.06, clip.shape))


def blurred(clip, rng):
    padded = np.pad(clip.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = clip.shape[1:3]
    return np.mean([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0).astype(np.uint8)


def faded(clip, rng):
    return to_bytes(0.5 + 0.9 * (clip / 255 - 0.5))


@pytest.mark.parametrize("degrade, size", [(noisy, LOW), (noisy, MIDDLE), (blurred, MIDDLE), (faded, MIDDLE)])
def test_degraded_clips_are_named_rightly(judge, degrade, size):
    frames, prompts = clips(size, keyframe_times(), 40, seed=2)
    rng = np.random.default_rng(1)
    score = judge.score([judge.judge(degrade(clip, rng)) for clip in frames], prompts)
    assert min(score.colour, score.motion, score.place) >= 0.95 and score.solid >= 0.9


def test_shuffled_prompts_fall_to_chance(judge):
    frames, prompts = clips(LOW, keyframe_times(), 300)
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
    frames, prompts = clips(MIDDLE, keyframe_times(), 1)
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


@pytest.fixture
def sheet(judge, monkeypatch):
    monkeypatch.syspath_prepend(str(JUDGE.parent))
    return importlib.import_module("judge_sheet")
