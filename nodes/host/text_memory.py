"""A prompt's share of the work, kept for a run: carried through the host as one more kind of conditioning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.conds
from torch import Tensor

from ...show1_core.models.conditioning import PreparedText

Prepare = Callable[[Tensor], PreparedText]


class TextMemory:
    """What the network made of a conditioning's text, alone and together with each other that shared a call with it.

    It lives as long as the run that made it, and no longer: weights may differ the next time.
    """

    def __init__(self) -> None:
        self._beside: dict[tuple[TextMemory, ...], TextMemory] = {}
        self._text: PreparedText | None = None

    def beside(self, others: tuple[TextMemory, ...]) -> TextMemory:
        """The memory of this text and others in one call, in this order."""
        return self._beside.setdefault(others, TextMemory())

    def prepared(self, context: Tensor, prepare: Prepare) -> PreparedText:
        """What `prepare` makes of the context (B, L, D), from the second call on what it made before."""
        text = self._text
        if text is None or (text.shape, text.states.device) != (context.shape, context.device):
            self._text = text = prepare(context)
        return text


class TextMemoryCond(comfy.conds.CONDConstant):
    """A TextMemory on its way to the network."""

    def can_concat(self, other: Any) -> bool:
        return True

    def concat(self, others: list[Any]) -> TextMemory:
        return self.cond.beside(tuple(other.cond for other in others))
