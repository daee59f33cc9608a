"""Takes are ranked by a CLIP that lies in the user's folders, here a tiny one with random weights."""

from __future__ import annotations

import re

import folder_paths
import numpy as np
import pytest
import torch
from tiny_clip import write_clip

from mini.grammar import Kind, Other
from mini.near_misses import near_misses
from mini.recipes import LOW
from mini.render import render_scene
from mini.scorer_words import words
from mini.world import keyframe_times, scene_of

PAIR = Kind("red", "ball", "moving right", "sunset", Other("above", "blue", "cube"))


@pytest.fixture
def node(pack, tmp_path, monkeypatch):
    """The node, with one CLIP in models/clip_vision; whatever the host finds elsewhere is not looked at."""
    write_clip(tmp_path / "vision" / "tiny")
    write_clip(tmp_path / "encoders" / "family" / "other", width=8, side=16, seed=1)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "clip_vision", ([str(tmp_path / "vision")], {".safetensors"}))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "text_encoders", ([str(tmp_path / "encoders")], {".safetensors"}))
    return pack("nodes.ranking").Show1RankDrafts


def takes(count: int, frames: int, height: int = 40, width: int = 64) -> torch.Tensor:
    """Takes of flat colours, over the range as frames between stages are."""
    drawn = torch.Generator().manual_seed(0)
    colours = torch.rand(count, 1, 1, 1, 3, generator=drawn) * 1.4 - 0.2
    return colours.expand(count, frames, height, width, 3).reshape(-1, height, width, 3).clone()


PROMPT = "a red circle moving left"


@pytest.mark.parametrize("clip", ["tiny", "family/other"])
@pytest.mark.parametrize("count, frames", [(4, 2), (1, 3), (3, 1)])
def test_the_best_take_comes_first(node, pack, clip, count, frames):
    images = takes(count, frames)
    ranked, sheet, best, score = node.execute(images, frames, PROMPT, clip).args
    scorer = pack("nodes.ranking").ClipScorer.from_folder(pack("nodes.ranking").clips()[clip])
    text = scorer.texts([PROMPT])[0]
    expected = [float((scorer.frames(take) @ text).mean()) for take in images.split(frames)]
    order = sorted(range(count), key=lambda take: -expected[take])
    assert best == order[0] + 1 and score == pytest.approx(max(expected), rel=1e-6)
    assert torch.equal(ranked, torch.cat([images.split(frames)[take] for take in order]))
    assert sheet.shape[0] == 1 and sheet.shape[2] == frames * images.shape[2]


def test_the_best_take_can_be_picked(node, pack):
    images = takes(5, 2)
    ranked, _, best, _ = node.execute(images, 2, PROMPT, "tiny").args
    picked, _ = pack("nodes.drafts").Show1PickDraft.execute(images, best, 2).args
    assert torch.equal(picked, ranked[:2])


def test_another_prompt_gives_other_scores(node):
    images = takes(6, 1)
    scores = {node.execute(images, 1, prompt, "tiny").args[3] for prompt in (PROMPT, "a blue square on white", "up up up")}
    assert len(scores) == 3


def test_the_scorer_that_ships_puts_the_take_of_the_prompt_first(node, pack):
    """Rendered takes of the mini's size: of another prompt each but for the third."""
    seen = [PAIR, *near_misses(np.random.default_rng(0), PAIR).values()]
    takes = [torch.from_numpy(render_scene(scene_of(np.random.default_rng(5), kind), keyframe_times(), LOW)) for kind in seen]
    takes.insert(2, takes.pop(0))
    ranked, sheet, best, score = node.execute(torch.cat(takes), 8, PAIR.caption, "show1-mini/scorer").args
    assert best == 3 and torch.equal(ranked[:8], takes[2]) and 0 < score <= 1
    assert sheet.shape[1:3] == ((LOW[0] + pack("nodes.sheets").LABEL_HEIGHT) * len(takes), 8 * LOW[1])


LARGE = r"it knows frames of 32x20, and these are 64x40"
WORDS = r"it does not know burning, lamborghini, driving, rainbow"


@pytest.mark.parametrize("clip, prompt, size, doubts", [
    ("show1-mini/scorer", "A burning lamborghini driving on a rainbow.", (40, 64), f"{WORDS} and {LARGE}"),
    ("show1-mini/scorer", "A burning lamborghini, driving: rainbow", (20, 32), f"{WORDS}\\."),
    ("show1-mini/scorer", "a red ball moving right", (40, 64), f"alone: {LARGE}\\."),
    ("show1-mini/scorer", PAIR.caption, (20, 32), None),
    ("tiny", "A burning lamborghini driving on a rainbow.", (40, 64), None)])
def test_the_minis_scorer_says_once_what_it_knows_nothing_of(node, caplog, clip, prompt, size, doubts):
    node.execute(takes(3, 2, *size), 2, prompt, clip)
    said = [record.getMessage() for record in caplog.records if "Rank Drafts" in record.getMessage()]
    assert len(said) == (doubts is not None)
    if doubts:
        assert re.search(doubts, said[0]) and "choose a whole CLIP, such as clip-vit-base-patch32" in said[0]


def test_the_minis_scorer_knows_all_words_and_frames_of_its_world(pack):
    ranking = pack("nodes.ranking")
    scorer = ranking.ClipScorer.from_folder(ranking.clips()[ranking.MINI_SCORER])
    assert ranking.MINI_FRAMES == LOW and scorer.in_pieces(" ".join(words())) == []


@pytest.mark.parametrize("changed, sentence", [
    ({"images": takes(1, 7)}, "7 frames, which is no number of takes of 2"),
    ({"images": takes(2, 2) * float("nan")}, "NaN or infinity"),
    ({"prompt": "  "}, "prompt is empty"),
    ({"clip": "absent"}, "clip 'absent' is not there; models/clip_vision has tiny, family/other"),
])
def test_what_cannot_be_ranked_is_refused_in_a_sentence(node, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        node.execute(**{"images": takes(2, 2), "frames": 2, "prompt": PROMPT, "clip": "tiny"} | changed)


def test_a_clip_that_is_gone_is_said_before_the_run(node):
    assert node.validate_inputs(clip="tiny") is True
    assert "is not there" in node.validate_inputs(clip="absent")
    published = node.validate_inputs(clip="clip-vit-base-patch32")
    assert "is not there" in published and "Get all files of https://huggingface.co/openai/clip-vit-base-patch32" in published


def test_a_cancel_stops_between_takes_and_gives_the_device_back(node, pack, monkeypatch):
    import comfy.model_management as mm

    seen = []
    monkeypatch.setattr(pack("nodes.host").networks.mm, "free_memory", lambda *_: seen.append("freed"))
    monkeypatch.setattr(pack("nodes.ranking").host, "progress_bar", lambda _: type("Bar", (), {"update_absolute": cancel}))
    with pytest.raises(mm.InterruptProcessingException):
        node.execute(takes(3, 1), 1, PROMPT, "tiny")
    assert seen == ["freed"]


def cancel(_number: int) -> None:
    import comfy.model_management as mm

    raise mm.InterruptProcessingException
