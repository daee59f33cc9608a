"""Prompts that change over time: "0: a red ball moving right | 4: a blue ball moving right"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

PLACED = re.compile(r"\s*(\d+)\s*:(?!\d)(.*)", re.DOTALL)  # a keyframe's number before its text; 16:9 is none
HOW = 'write each as "4: a blue ball moving right", with | between them'


class PlacedPrompt(NamedTuple):
    """A prompt, and the keyframe from which on it holds."""

    start: int
    text: str


def placed_prompts(prompt: str) -> list[PlacedPrompt] | None:
    """The prompts of a prompt that changes over time; None for every other prompt, colons or not.

    Such a prompt begins with a keyframe's number and a colon: with 0, or with any number where another follows behind a
    bar. Raises ValueError when it begins so and is not written as it should be.
    """
    parts = prompt.split("|")
    first, *others = (PLACED.fullmatch(part) for part in parts)
    if first is None or not (int(first[1]) == 0 or any(others)):
        return None
    placed: list[PlacedPrompt] = []
    for part, found in zip(parts, (first, *others), strict=True):
        if found is None or not found[2].strip():
            missing = "no keyframe's number" if found is None else "no text"
            raise ValueError(f"the prompt changes over time, but its part {part.strip()!r} has {missing}; {HOW}.")
        placed.append(PlacedPrompt(int(found[1]), found[2].strip()))
    starts = [start for start, _ in placed]
    if starts[0] != 0:
        raise ValueError(f"the prompt changes over time, but its first part is for keyframe {starts[0]}; begin with 0, the first "
                         "keyframe.")
    if any(after <= before for before, after in zip(starts, starts[1:])):
        raise ValueError(f"the prompt changes over time at keyframes {', '.join(map(str, starts))}; expected each later than the "
                         "one before.")
    return placed


@dataclass(frozen=True)
class TextOverTime:
    """Text states (K, L, D), and for each the keyframe from which on it holds, rising from 0."""

    states: Tensor
    starts: tuple[int, ...]

    def seen(self, times: Tensor) -> Tensor:
        """Which of the states holds at these times, in keyframes: integers of the same shape."""
        return torch.bucketize(times, torch.tensor(self.starts, dtype=times.dtype, device=times.device), right=True) - 1
