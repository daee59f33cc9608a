"""What the calls of one run share: the prompt's part of the work, and how they came out with memory.

Carried through the host as one more kind of conditioning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ...show1_core import memory
from ...show1_core.models.conditioning import PreparedText

Prepare = Callable[[Tensor], PreparedText]


class RunMemory:
    """What the network made of a conditioning's text, alone and together with each other that shared a call with it.

    It lives as long as the run that made it, and no longer: weights may differ the next time. `fallback`
    keeps how much at once the run's calls have memory for.
    """

    def __init__(self) -> None:
        self.fallback = memory.Fallback()
        self._together: dict[tuple[RunMemory, ...], RunMemory] = {}
        self._text: PreparedText | None = None

    def together(self, others: tuple[RunMemory, ...]) -> RunMemory:
        """The memory of this text and others in one call, in this order."""
        return self._together.setdefault(others, RunMemory())

    def prepared(self, context: Tensor, prepare: Prepare) -> PreparedText:
        """What `prepare` makes of the context (B, L, D), from the second call on what it made before.

        Under gradients nothing is kept: a step's graph is gone when the next one begins.
        """
        if torch.is_grad_enabled():
            return prepare(context)
        text = self._text
        if text is None or (text.shape, text.states.device) != (context.shape, context.device):
            self._text = text = prepare(context)
        return text


class RunMemoryCond(comfy.conds.CONDConstant):
    """A RunMemory on its way to the network."""

    def can_concat(self, other: Any) -> bool:
        return True

    def concat(self, others: list[Any]) -> RunMemory:
        return self.cond.together(tuple(other.cond for other in others))
