"""Prompt sets: their counts, their sources, and the tables they are written to."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from show1_core.evaluation import prompts
from show1_core.evaluation.prompts import Prompt, compositional, msrvtt, read, shares, ucf101, write

TEST_SPLIT = 3783  # videos of UCF-101's test split 1


@pytest.mark.parametrize("clips, equal", [(2048, False), (10000, False), (10100, True), (10000, True), (101, True)])
def test_ucf101_has_as_many_clips_as_the_protocol(clips, equal):
    found = ucf101(clips, equal)
    classes = Counter(prompt.id.split("-")[0] for prompt in found)
    assert len(found) == clips == len({prompt.id for prompt in found}) and len(classes) == 101
    assert max(classes.values()) - min(classes.values()) <= 1 or not equal
    assert len({(prompt.text, prompt.seed) for prompt in found}) == clips, "two clips would be the same"


def test_ucf101_follows_the_test_split():
    found = Counter(prompt.id.split("-")[0] for prompt in ucf101(TEST_SPLIT))
    assert found == {entry["class"]: entry["test_videos"] for entry in prompts._data("ucf101.json")}


def test_the_sentences_of_a_class_take_turns():
    texts = [prompt.text for prompt in ucf101(404, equal=True) if prompt.id.startswith("HorseRace-")]
    assert texts == ["horse race", "group of people racing horse"] * 2


def test_fewer_clips_than_classes_are_refused():
    with pytest.raises(ValueError, match="100 clips are fewer than UCF-101's 101 classes"):
        ucf101(100)


@pytest.mark.parametrize("total, weights, expected", [(10, [1, 1, 1], [4, 3, 3]), (0, [1, 2], [0, 0]), (7, [0, 5, 2], [0, 5, 2]),
                                                      (5, [3, 3, 4], [2, 1, 2])])
def test_shares_go_to_the_largest_remainders(total, weights, expected):
    assert shares(total, weights) == expected


def test_our_own_set_has_fifty_prompts_of_each_kind():
    found = compositional()
    assert Counter(prompt.id.split("-")[0] for prompt in found) == {"colour": 50, "number": 50, "relation": 50, "action": 50}
    assert len({prompt.text for prompt in found}) == 200


@pytest.fixture
def annotations(tmp_path):
    """Three test videos of two captions each, and one for training."""
    videos = [{"video_id": f"video{number}", "split": "test" if number else "train"} for number in range(4)]
    sentences = [{"video_id": video["video_id"], "caption": f"caption {turn} of {video['video_id']}", "sen_id": turn}
                 for turn in range(2) for video in videos]
    file = tmp_path / "annotations.json"
    file.write_text(json.dumps({"info": {}, "videos": videos, "sentences": sentences}))
    return file


def test_msrvtt_gives_one_caption_a_video_or_all(annotations):
    one = msrvtt(annotations)
    assert [prompt.id for prompt in one] == ["video1", "video2", "video3"] and one == msrvtt(annotations)
    assert all(prompt.text.endswith(prompt.id) for prompt in one)
    assert len({tuple(prompt.text for prompt in msrvtt(annotations, seed=seed)) for seed in range(20)}) > 1
    assert len(msrvtt(annotations, every=True)) == 6 == len({prompt.id for prompt in msrvtt(annotations, every=True)})


@pytest.mark.parametrize("content, sentence", [
    ("{", "JSONDecodeError"), ("[]", "TypeError"), ('{"videos": []}', "KeyError"),
    ('{"videos": [{"video_id": "v", "split": "train"}], "sentences": [{"video_id": "v", "caption": "c"}]}', "it has train")])
def test_another_file_is_refused_in_a_sentence(tmp_path, content, sentence):
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        msrvtt(file)


def test_a_table_comes_back_as_it_was_written(tmp_path):
    found = [Prompt("a", 'says "hello", twice'), Prompt("b", "línea", 3)]
    write(found, tmp_path / "new" / "table.csv")
    assert read(tmp_path / "new" / "table.csv") == {"a": 'says "hello", twice', "b": "línea"}
    with pytest.raises(ValueError, match="'a' is there twice"):
        write([Prompt("a", "x"), Prompt("a", "y")], tmp_path / "twice.csv")


@pytest.mark.parametrize("arguments, count", [
    (["ucf101", "--clips", "2048"], 2048), (["compositional"], 200), (["msrvtt", "--every-caption"], 6), (["msrvtt"], 3)])
def test_the_command_writes_a_table(annotations, tmp_path, arguments, count):
    extra = ["--annotations", str(annotations)] if arguments[0] == "msrvtt" else []
    assert prompts.main([*arguments, *extra, "--output", str(tmp_path / "table.csv")]) == 0
    assert len(read(tmp_path / "table.csv")) == count


@pytest.mark.parametrize("arguments", [["msrvtt"], ["ucf101", "--clips", "5"], ["unknown"]])
def test_a_wrong_command_is_refused(tmp_path, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        prompts.main([*arguments, "--output", str(tmp_path / "table.csv")])
    assert "error: " in capsys.readouterr().err
