"""Which words belong together: what the text encoder learns beside the pictures when two solids are told apart.

The published T5 comes with a knowledge of language; the mini's has learnt from pictures alone, and its words of two solids
say nothing of which colour goes with which solid. So each word of "a red ball" is asked what its solid is, what colour it
has, on which side of the other one it is, and how it moves. The classifiers that ask are thrown away after training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from . import operations
from .grammar import COLOURS, MOTIONS, OPPOSITE, SOLIDS, Kind, phrases
from .t5 import TextEncoder

SIDES = {None: 0, "above": 1, "below": 2, "left of": 3, "right of": 4}
AT_REST = len(MOTIONS)
QUESTIONS = {"colour": len(COLOURS), "solid": len(SOLIDS), "side": len(SIDES), "motion": len(MOTIONS) + 1}
NOT_ASKED = -100  # what cross entropy leaves out


def answers(kind: Kind) -> tuple[list[int], list[int]]:
    """What is asked of the words of the first solid, and of those of the second (empty where there is none)."""
    other = kind.other
    side = SIDES[None if other is None else other.relation]
    first = [COLOURS.index(kind.colour), tuple(SOLIDS).index(kind.solid), side, tuple(MOTIONS).index(kind.motion)]
    if other is None:
        return first, []
    return first, [COLOURS.index(other.colour), tuple(SOLIDS).index(other.solid), SIDES[OPPOSITE[other.relation]], AT_REST]


class Binding(nn.Module):
    """A linear classifier a question, on the states of the words of solids."""

    def __init__(self, text: TextEncoder) -> None:
        super().__init__()
        self.asked = operations.Linear(text.width, sum(QUESTIONS.values()))

    def loss(self, text: TextEncoder, kinds: Sequence[Kind], data: np.random.Generator) -> Tensor:
        """Mean cross entropy of the answers, over newly worded captions."""
        told = [phrases(data, kind) for kind in kinds]
        states = text([" ".join(words) for words in told])  # (B, 77, D)
        right = torch.full((*states.shape[:2], len(QUESTIONS)), NOT_ASKED, dtype=torch.long)
        for row, (words, kind) in enumerate(zip(told, kinds, strict=True)):
            self._label(right[row], words, kind, text)
        found = self.asked(states).flatten(0, 1).split(list(QUESTIONS.values()), dim=-1)
        of_question = right.to(states.device).flatten(0, 1).unbind(-1)
        return torch.stack([cross_entropy(*pair) for pair in zip(found, of_question, strict=True)]).mean()

    def _label(self, right: Tensor, words: list[str], kind: Kind, text: TextEncoder) -> None:
        """Write the answers (77, questions) beside the tokens of the solids' phrases: the first, and the one after a relation.

        T5's pieces never reach across a space, so phrases are tokenised as their sentence is.
        """
        first, second = answers(kind)
        at = 0
        for number, phrase in enumerate(words):
            length = text.length(phrase)
            if number == 0 or (second and number == 3):
                right[at : at + length] = torch.tensor(second if number else first)
            at += length
