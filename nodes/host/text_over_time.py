"""A prompt that changes over time, on its way from CONDITIONING to the network: each frame under its own text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import comfy.conds
import torch
from torch import Tensor

from ...show1_core.prompt_travel import TextOverTime

TEXT, TIMES = "show1_text_over_time", "show1_times"  # in CONDITIONING
CHANGED = ("the prompt changes over time, but a node behind Show-1 T5 Encode, such as ConditioningAverage, has changed the first "
           "of its texts alone; leave that node out, or take a prompt that stays the same.")


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
    text = values.get(TEXT)
    return PlacedCond(Placed(None if text is None else followed(text, values["cross_attn"]), values.get(TIMES)))


def followed(text: TextOverTime, first: Tensor) -> TextOverTime | None:
    """Texts whose first, all that other nodes see, may have come back changed: what they were told holds for every text.

    None where the text was made nothing. Raises ValueError for a change that cannot be read off.
    """
    states = text.states.to(first)
    length = states.shape[1]
    if not torch.equal(first[:, :length], states[:1]):
        if bool(first.any()):
            raise ValueError(CHANGED)
        return None
    more = first[:, length:]  # another text behind it
    return replace(text, states=torch.cat([states, more.expand(len(states), -1, -1)], dim=1))


def seen_texts(placed: tuple[Placed, ...], context: Tensor, clip: tuple[int, int], window: Any) -> tuple[Tensor, Tensor]:
    """All texts (U, L, D) of a call's halves of guidance, and which of them each frame of each row sees, (halves*B, F).

    context (halves*B, L, D) are the texts that stay, which the host has repeated to one length, as the others are here;
    `clip` is how many rows a half has, and frames; `window` the host's window of time or None.
    """
    (rows, frames), texts, seen, count = clip, [], [], 0
    for half, (text, times) in enumerate(placed):
        states = context[half * rows:half * rows + 1] if text is None else repeated(text.states.to(context), context.shape[1])
        which = torch.zeros(1, frames, dtype=torch.long) if text is None else text.seen(at_window(times, frames, window))
        seen.append(which.expand(rows, frames) + count)
        texts.append(states)
        count += len(states)
    return torch.cat(texts), torch.cat(seen).to(context.device)


def repeated(states: Tensor, length: int) -> Tensor:
    """Text states (K, L, D) as often one after the other as the length holds them."""
    return states.repeat(1, length // states.shape[1], 1)


def at_window(times: Tensor | None, frames: int, window: Any) -> Tensor:
    """When the frames of a window are seen, (B or 1, F), of the times of the whole clip."""
    indices = torch.arange(frames) if window is None else torch.tensor(window.index_list)
    return indices[None].float() if times is None else times.float()[:, indices]
