"""The judge is right about rendered clips, falls to chance when prompts are shuffled, and can be wrong."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mini.shapes import Kind, draw, frame_times, keyframe_times, render, scene_of

JUDGE = Path(__file__).parents[2] / "benchmarks" / "judge.py"


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["judge"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def clips(size, times, count, seed=0):
    scenes = draw(np.random.default_rng(seed), count)
    frames = [(render([scene], times, size)[0] * 255).astype(np.uint8) for scene in scenes]
    return frames, [scene.kind.caption for scene in scenes]


@pytest.mark.parametrize(
    "size, times, count, shapes",
    # at 24x16 a small shape is a few pixels, and some triangles pass for circles
    [((16, 24), keyframe_times(), 200, 0.95), ((64, 96), frame_times(), 100, 0.97), ((128, 192), frame_times(), 40, 0.97)],
)
def test_rendered_clips_are_named_rightly(judge, size, times, count, shapes):
    frames, prompts = clips(size, times, count)
    score = judge.score([judge.judge(clip) for clip in frames], prompts)
    assert score.both >= 0.99
    assert score.shape >= shapes


def test_noise_and_overshoot_do_not_confuse(judge):
    frames, prompts = clips((64, 96), frame_times(), 40)
    rng = np.random.default_rng(1)
    noisy = [np.clip(clip + rng.normal(0, 15, clip.shape), 0, 255).astype(np.uint8) for clip in frames]
    assert judge.score([judge.judge(clip) for clip in noisy], prompts).both >= 0.97


def test_shuffled_prompts_fall_to_chance(judge):
    frames, prompts = clips((16, 24), keyframe_times(), 300)
    verdicts = [judge.judge(clip) for clip in frames]
    score = judge.score(verdicts, judge.shuffled(prompts))
    assert score.colour < 0.3 and score.direction < 0.3 and score.both < 0.1


def test_a_clip_of_nothing_is_unknown(judge):
    verdict = judge.judge(np.full((8, 16, 24, 3), 120, np.uint8))
    assert verdict == judge.Verdict("unknown", "unknown", "unknown")


def test_an_object_at_rest_has_no_direction(judge):
    scene = scene_of(np.random.default_rng(0), Kind("red", "circle", "moving left"))
    still = np.repeat((render([scene], np.array([0.5]), (64, 96))[0] * 255).astype(np.uint8), 8, axis=0)
    assert judge.judge(still).direction == "unknown"
    assert judge.judge(still).colour == "red"


def test_a_reversed_clip_moves_the_other_way(judge):
    scene = scene_of(np.random.default_rng(0), Kind("blue", "square", "moving up", "white"))
    clip = (render([scene], frame_times(), (64, 96))[0] * 255).astype(np.uint8)
    assert judge.judge(clip).direction == "moving up"
    assert judge.judge(clip[::-1]).direction == "moving down"


def test_prompts_are_read(judge):
    claim = judge.claim_of("A purple triangle moving down on a white background")
    assert claim == judge.Claim("purple", "moving down", "triangle")


def test_wrong_input_is_refused(judge):
    with pytest.raises(ValueError, match="uint8"):
        judge.judge(np.zeros((8, 16, 24, 3), np.float32))


def test_command_line(judge, tmp_path):
    frames, prompts = clips((16, 24), keyframe_times(), 1)
    np.save(tmp_path / "clip.npy", frames[0])
    run = subprocess.run([sys.executable, str(JUDGE), str(tmp_path / "clip.npy"), prompts[0]], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "both 100.0%" in run.stdout


@pytest.mark.parametrize("seen, label, right", [
    ({"colour": "red", "direction": "moving up", "shape": "square"}, "a red circle moving up", True),
    ({"colour": "blue", "direction": "moving up", "shape": "circle"}, "a red circle moving up: seen as blue, moving up", False),
    ({"colour": "red", "direction": "unknown", "shape": "circle"}, "a red circle moving up: seen as red, unknown", False),
])
def test_the_sheet_says_what_was_seen_instead(sheet, seen, label, right):
    assert sheet.caption("a red circle moving up", seen) == (label, right)


@pytest.mark.parametrize("count, frames", [(1, 29), (5, 8), (9, 1)])
def test_every_video_is_on_the_sheet(sheet, count, frames):
    videos = [np.full((frames, 16, 24, 3), 20 * number + 60, np.uint8) for number in range(count)]
    seen = [{"colour": "red", "direction": "moving up", "shape": "circle"}] * count
    picture = np.asarray(sheet.contact_sheet(videos, ["a red circle moving up"] * count, seen))
    assert {20 * number + 60 for number in range(count)} <= set(np.unique(picture).tolist())


@pytest.fixture
def sheet(judge, monkeypatch):
    monkeypatch.syspath_prepend(str(JUDGE.parent))
    return importlib.import_module("judge_sheet")
