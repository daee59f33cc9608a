"""The words of the scorer: a byte pair encoding in CLIP's format, in which every word of the small world is one token."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .grammar import every_phrase

TOKENS = 32  # a prompt is cut at; the longest caption has about 25
START, END, UNKNOWN = "<|startoftext|>", "<|endoftext|>", "<|unknown|>"
LAST = "</w>"  # marks the end of a word
# Prompts are lower-cased. Other characters are UNKNOWN: no caption has any, and each would cost two vectors.
CHARACTERS = sorted(set(string.ascii_lowercase + string.digits + string.punctuation))


def words() -> list[str]:
    """Every word that a caption may have."""
    return sorted({word for phrase in every_phrase() for word in phrase.split()})


def merged(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """A word's parts, with this pair made one wherever it stands."""
    done: list[str] = []
    for part in parts:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return done


def merges() -> list[tuple[str, str]]:
    """Pairs in the order in which they are joined, the most frequent first, until every word is one token."""
    spelled = [[*word[:-1], word[-1] + LAST] for word in words()]
    found: list[tuple[str, str]] = []
    while any(len(parts) > 1 for parts in spelled):
        pairs = Counter(pair for parts in spelled for pair in zip(parts, parts[1:]))
        found.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        spelled = [merged(parts, found[-1]) for parts in spelled]
    return found


def vocabulary() -> dict[str, int]:
    """Tokens by name: characters, characters that end a word, what is joined, and the special ones."""
    names = [*CHARACTERS, *(character + LAST for character in CHARACTERS), *map("".join, merges()), UNKNOWN, START, END]
    return {name: number for number, name in enumerate(names)}


def write_tokenizer(folder: Path) -> None:
    """The files that transformers' CLIPTokenizer reads: vocab.json, merges.txt, tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "bos_token": START, "eos_token": END,
              "pad_token": END, "unk_token": UNKNOWN}
    lines = ["#version: 0.2", *map(" ".join, merges())]
    for name, text in (("vocab.json", json.dumps(vocabulary(), indent=0)), ("merges.txt", "\n".join(lines)),
                       ("tokenizer_config.json", json.dumps(config, indent=2, sort_keys=True))):
        (folder / name).write_text(text + "\n", encoding="utf-8", newline="\n")
