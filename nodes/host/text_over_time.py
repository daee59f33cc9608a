"""A prompt that changes over time, on its way from CONDITIONING to the network: each frame under its own text."""

from __future__ import annotations

from typing import Any, NamedTuple

import comfy.conds
import torch
from torch import Tensor

from ...show1_core.prompt_travel import TextOverTime

TEXT, TIMES = "show1_text_over_time", "show1_times"  # in CONDITIONING


class Placed(NamedTuple):
    """A text over time, None for one that stays, and when the frames are seen, in keyframes (B or 1, F); None: they count up."""

    text: TextOverTime | None = None
    times: Tensor | None = None


class PlacedCond(comfy.conds.CONDConstant):
    """A Placed on its way to the network; several in one call are one after the other."""

    def can_concat(self, other: Any) -> bool:
        return True

    def concat(self, others: list[Any]) -> tuple[Placed, ...]:
        return (self.cond, *(other.cond for other in others))


def placed_cond(values: dict[str, Any]) -> PlacedCond:
    """What the values of a conditioning say about text over time."""
    return PlacedCond(Placed(values.get(TEXT), values.get(TIMES)))


def seen_texts(placed: tuple[Placed, ...], context: Tensor, clip: tuple[int, int], window: Any) -> tuple[Tensor, Tensor]:
    """All texts (U, L, D) of a call's halves of guidance, and which of them each frame of each row sees, (halves*B, F).

    context (halves*B, L, D) are the texts that stay; `clip` is how many rows a half has, and frames; `window` the host's
    window of time or None.
    """
    (rows, frames), texts, seen, count = clip, [], [], 0
    for half, (text, times) in enumerate(placed):
        states = context[half * rows:half * rows + 1] if text is None else text.states.to(context)
        which = torch.zeros(1, frames, dtype=torch.long) if text is None else text.seen(at_window(times, frames, window))
        seen.append(which.expand(rows, frames) + count)
        texts.append(states)
        count += len(states)
    return torch.cat(texts), torch.cat(seen).to(context.device)


def at_window(times: Tensor | None, frames: int, window: Any) -> Tensor:
    """When the frames of a window are seen, (B or 1, F), of the times of the whole clip."""
    indices = torch.arange(frames) if window is None else torch.tensor(window.index_list)
    return indices[None].float() if times is None else times.float()[:, indices]
