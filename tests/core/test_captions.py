"""Prompts before the tokenizer."""

from __future__ import annotations

import pytest

from show1_core.captions import fit, preprocess


@pytest.mark.parametrize("prompt, expected", [
    ("  A Burning Lamborghini.  ", "a burning lamborghini."), ("", ""), ("x" * 10_000, "x" * 10_000),
    ("\u00c4 \U0001f600", "\u00e4 \U0001f600"),
])
def test_prompts_are_lowered_and_stripped(prompt, expected):
    assert preprocess(prompt, clean=False) == expected


@pytest.mark.parametrize("prompt, expected", [
    ("A cat <b>sits</b> on a mat", "a cat sits on a mat"),
    ("a cat https://example.com/cat.html on a mat", "a cat on a mat"),
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
