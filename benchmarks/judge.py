"""Compares what a clip of the small world shows with what its prompt asks for.

What it shows is told by `judge_frames.py`, from the frames alone: place, and of one or two solids colour, form and motion.

    python benchmarks/judge.py VIDEO.npy "a red ball moving right at sunset" [VIDEO.npy PROMPT ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

from judge_frames import HUES, UNKNOWN, Seen, Verdict, judge  # noqa: E402

from mini.grammar import MOTIONS, RELATIONS, SOLIDS  # noqa: E402

# The words of a prompt for what the judge sees: those of captions, and shorter ones.
MOTION_WORDS = MOTIONS | {"bouncing": (*MOTIONS["bouncing"], "jumps")}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "gray": ("gray background", "grey background"), "white": ("white background",), "black": ("black background", "dark"),
    "day": ("by day", "sunny day", "blue sky"), "sunset": ("sunset", "evening"), "night": ("night",),
}


@dataclass(frozen=True)
class Score:
    """Shares in [0, 1] of clips that show what their prompt says.

    `every`: all of it and nothing else; `pair`: of the clips with two solids, both forms in their colours (None without any).
    """

    colour: float
    solid: float
    motion: float
    place: float
    every: float
    pair: float | None
    clips: int

    def __str__(self) -> str:
        shares = {field.name: getattr(self, field.name) for field in fields(self)[:-1]}
        return f"{self.clips} clips: " + ", ".join(f"{part} {share:.1%}" for part, share in shares.items() if share is not None)


def _named(words: str, names: dict[str, tuple[str, ...]]) -> str:
    """The name one of whose words occurs in the text."""
    return next((name for name, ways in names.items() if any(way in words for way in ways)), UNKNOWN)


def _asked(phrase: str) -> tuple[str, str]:
    """Colour and form in "red ball ...": the words a phrase begins with."""
    colour, _, rest = phrase.strip().partition(" ")
    form = rest.partition(" ")[0]
    return (colour if colour in HUES else UNKNOWN), next((name for name, ways in SOLIDS.items() if form in ways), UNKNOWN)


def claim_of(prompt: str) -> Verdict:
    """What a prompt asks for: "a red ball moving right above a blue cube at night". A place that is not named is black."""
    text = prompt.lower().strip()
    place = _named(text, PLACE_WORDS)
    relation = next((word for word in RELATIONS if f" {word} a " in text), UNKNOWN)
    subject, _, rest = text.removeprefix("a ").partition(f" {relation} a ")
    first = Seen(*_asked(subject), _named(subject, MOTION_WORDS))
    second = Seen(*_asked(rest), "at rest") if rest else None
    return Verdict(first, "black" if place == UNKNOWN else place, second, relation)


def parts_of(verdict: Verdict) -> dict[str, str]:
    """What is seen or asked for, part by part; `beside` is where a second solid is, and what it is."""
    one, other = verdict.first, verdict.second
    beside = "" if other is None else f"{verdict.relation} {other.colour} {other.solid}"
    return {"colour": one.colour, "solid": one.solid, "motion": one.motion, "place": verdict.place, "beside": beside}


def bound(verdict: Verdict) -> set[tuple[str, str]]:
    """Which colour goes with which form, whatever moves."""
    return {(one.colour, one.solid) for one in (verdict.first, verdict.second) if one is not None}


def score(verdicts: Sequence[Verdict], prompts: Sequence[str]) -> Score:
    """How often the verdicts agree with the prompts."""
    pairs = [(seen, claim_of(prompt)) for seen, prompt in zip(verdicts, prompts, strict=True)]

    def share(right: Sequence[bool]) -> float:
        return float(np.mean(right))

    first = {part: share([getattr(seen.first, part) == getattr(asked.first, part) for seen, asked in pairs])
             for part in ("colour", "solid", "motion")}
    place = share([seen.place == asked.place for seen, asked in pairs])
    two = [bound(seen) == bound(asked) for seen, asked in pairs if asked.second is not None]
    every = share([seen == asked for seen, asked in pairs])
    return Score(**first, place=place, every=every, pair=share(two) if two else None, clips=len(pairs))


def shuffled(prompts: Sequence[str], seed: int = 0) -> list[str]:
    """The same prompts in another order: a control under which an honest judge falls to chance."""
    return [prompts[index] for index in np.random.default_rng(seed).permutation(len(prompts))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge saved clips against their prompts."""
    parser = argparse.ArgumentParser(description="Judge clips (.npy, uint8, F x H x W x 3) against their prompts.")
    parser.add_argument("pairs", nargs="+", metavar="VIDEO.npy PROMPT", help="clips, each followed by its prompt")
    pairs = parser.parse_args(arguments).pairs
    videos, prompts = pairs[0::2], pairs[1::2]
    if len(videos) != len(prompts):
        parser.error("every clip needs a prompt after it")
    verdicts = [judge(np.load(video)) for video in videos]
    for verdict, prompt in zip(verdicts, prompts, strict=True):
        print(f"{prompt}: {verdict}")
    print(score(verdicts, prompts))
    print("prompts shuffled:", score(verdicts, shuffled(prompts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
