"""Prompts before the tokenizer."""

from __future__ import annotations

import pytest
from caption_corpus import captions

from show1_core.captions import fit, preprocess


@pytest.mark.parametrize("prompt, expected", [
    ("  A Burning Lamborghini.  ", "a burning lamborghini."), ("", ""), ("x" * 10_000, "x" * 10_000),
    ("\u00c4 \U0001f600", "\u00e4 \U0001f600"),
])
def test_prompts_are_lowered_and_stripped(prompt, expected):
    assert preprocess(prompt, clean=False) == expected


@pytest.mark.parametrize("prompt, expected", [
    ("A cat <b>sits</b> on a mat", "a cat sits on a mat"),
    ("a cat https://example.com/cats on a mat", "a cat on a mat"),
    ("photo by @someone of a cat", "photo by of a cat"),
    ("a cat IMG_0001.jpg", "a cat"),
    ("a\u2014cat", "a-cat"),
    ("one-two_three-four_five", "one two three four five"),
    ("a cat &amp; a dog", "a cat a dog"),
    ("\"a cat\"", "a cat"),
    ("a cat 1920x1080", "a cat"),
    ("a cat free shipping", "a cat"),
    ("a cat, page 17", "a cat"),
    ("cats\u732b", "cats"),
    ("a+red+circle", "a red circle"),
])
def test_captions_from_the_web_are_cleaned(prompt, expected):
    assert preprocess(prompt, clean=True) == expected


@pytest.mark.parametrize("count", [1, 2, 76, 77, 78, 500])
def test_seventy_seven_tokens(count):
    ids = fit([*range(2, count + 1), 1])  # end token last
    assert len(ids) == 77 and 1 in ids and ids[:min(count, 77) - 1] == list(range(2, min(count, 77) + 1))


@pytest.fixture(scope="module")
def published():
    """diffusers' cleaner of the text models' captions."""
    for needed in ("bs4", "ftfy"):
        pytest.importorskip(needed, reason=f"diffusers' cleaner needs {needed}, of the test extra, which is not installed")
    from diffusers.pipelines.deepfloyd_if.pipeline_if import IFPipeline

    return lambda caption: IFPipeline._text_preprocessing(IFPipeline.__new__(IFPipeline), caption, clean_caption=True)[0]


@pytest.mark.filterwarnings("ignore::bs4.MarkupResemblesLocatorWarning")
def test_the_cleaner_agrees_with_diffusers(published):
    different = {caption: (preprocess(caption, clean=True), expected) for caption in captions(500)
                 if preprocess(caption, clean=True) != (expected := published(caption))}
    assert not different, f"{len(different)}, such as {list(different.items())[:8]}"


def test_without_ftfy_only_letters_differ(published, monkeypatch):
    monkeypatch.setattr("show1_core.captions.find_spec", lambda _: None)
    same = sum(preprocess(caption, clean=True) == published(caption) for caption in captions(500))
    assert 400 <= same < 500, same
    assert preprocess("\ufb01nal cut", clean=True) == "\ufb01nal cut" and published("\ufb01nal cut") == "final cut"
