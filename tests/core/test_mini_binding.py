"""Every word of a solid is asked for what belongs to that solid, and no other word is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mini import binding
from mini.binding import AT_REST, SIDES, Binding, answers
from mini.grammar import COLOURS, MOTIONS, SOLIDS, Kind, Other

ALONE = Kind("red", "ball", "moving up")
PAIR = Kind("red", "ball", "moving left", "sunset", Other("below", "blue", "cone"))


class Words(nn.Module):
    """Stands for the text encoder: a token a word, an end, and states that are parameters."""

    width = 5

    def __init__(self) -> None:
        super().__init__()
        self.states = nn.Parameter(torch.randn(1, 77, self.width))

    def length(self, prompt: str) -> int:
        return len(prompt.split())

    def forward(self, prompts: Sequence[str]) -> Tensor:
        return self.states.expand(len(prompts), -1, -1)


@pytest.mark.parametrize(("kind", "first", "second"), [
    (ALONE, ("red", "ball", None, "moving up"), None),
    (PAIR, ("red", "ball", "below", "moving left"), ("blue", "cone", "above", None))])
def test_answers(kind: Kind, first: tuple[str, ...], second: tuple[str, ...] | None) -> None:
    """The second solid is on the other side of the first, and at rest."""
    def said(numbers: list[int]) -> tuple[str | None, ...]:
        colour, solid, side, motion = numbers
        sides = {number: name for name, number in SIDES.items()}
        return COLOURS[colour], tuple(SOLIDS)[solid], sides[side], None if motion == AT_REST else tuple(MOTIONS)[motion]

    found = answers(kind)
    assert said(found[0]) == first and (said(found[1]) if found[1] else None) == second


@pytest.mark.parametrize(("kind", "asked"), [
    (ALONE, {0, 1, 2}),  # a red ball | moving up
    (PAIR, {0, 1, 2, 6, 7, 8})])  # a red ball | moving left | below | a blue cone | at sunset
def test_only_words_of_solids_are_asked(kind: Kind, asked: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["a red ball", "moving left", "below", "a blue cone", "at sunset"] if kind.other else ["a red ball", "moving up"]
    monkeypatch.setattr(binding, "phrases", lambda _rng, _kind: said)
    text = Words()
    with torch.enable_grad():
        loss = Binding(text).loss(text, [kind], np.random.default_rng(0))
    gradient, = torch.autograd.grad(loss, text.states)
    assert set(gradient[0].abs().sum(dim=1).nonzero().flatten().tolist()) == asked


def test_states_that_hold_the_answers_answer() -> None:
    """A state for each place in the sentence cannot tell colours apart that change with the caption, but can tell sides."""
    text, kinds = Words(), [PAIR, Kind("blue", "cone", "moving left", "sunset", Other("below", "red", "ball"))]
    asker = Binding(text)
    optimizer = torch.optim.Adam([*asker.parameters(), *text.parameters()], lr=0.1)
    with torch.enable_grad():
        for step in range(150):
            loss = asker.loss(text, kinds, np.random.default_rng(step))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    # two of the four questions are answered, the other two are a coin each
    assert float(loss.detach()) == pytest.approx(2 * np.log(2) / 4, abs=0.05)
