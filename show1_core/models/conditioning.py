"""What every layer is told besides its features: the time, the prompt, the number of frames, and patches if there are any.

A prompt's part of the work depends on the prompt and the weights alone, so it is done once and kept in a
`PreparedText` that lives as long as the run. Rows come text by text: all samples under the first text, then all under
the second. Until the text enters, both halves of guidance are the same, and the features have one row a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from einops import repeat
from torch import Tensor, nn

Made = TypeVar("Made")


class PreparedText:
    """Text states, and what layers made of them; drop it when the weights change.

    shape: of the text as it was given, (R*B, L, D); states (U, L, D'): projected, rows that repeat each other once, so
    that R*B is a multiple of U; pooled (U, T) or None; seen (R*B, F): which of the states each frame of each row is
    drawn under, None where all frames of a row are under one.
    """

    def __init__(self, shape: torch.Size, states: Tensor, pooled: Tensor | None = None, seen: Tensor | None = None) -> None:
        self.shape, self.rows, self.states, self.pooled, self.seen = shape, shape[0], states, pooled, seen
        self._made: dict[nn.Module, object] = {}
        self._parts: dict[tuple[int, ...], PreparedText] = {}  # by states

    def under(self, seen: Tensor) -> PreparedText:
        """The same states, a frame of a row under each as `seen` (R*B, F) says; what layers make is shared."""
        other = PreparedText(torch.Size((len(seen), *self.shape[1:])), self.states, self.pooled, seen)
        other._made = self._made
        return other

    def of_samples(self, samples: slice, count: int) -> PreparedText:
        """The texts of some of `count` samples; what layers make is shared where all samples have the same."""
        texts = self.rows // count
        if self.seen is not None:
            return self.under(self.seen.unflatten(0, (-1, count))[:, samples].flatten(0, 1))
        rows = [text * count + sample for text in range(texts) for sample in range(count)[samples]]
        if texts % len(self.states):  # some samples have others than some
            return self._of_rows(rows)
        few = PreparedText(torch.Size((len(rows), *self.shape[1:])), self.states, self.pooled)
        few._made = self._made
        return few

    def of_row(self, row: int) -> PreparedText:
        """The text of one of the rows alone; what layers make of it is kept too."""
        return self._of_rows([row]) if self.seen is None else self.under(self.seen[row:row + 1])

    def _of_rows(self, rows: list[int]) -> PreparedText:
        """The texts of some rows, one for each; what layers make of them is kept."""
        found = tuple(row * len(self.states) // self.rows for row in rows)
        if found not in self._parts:
            pooled = None if self.pooled is None else self.pooled[list(found)]
            self._parts[found] = PreparedText(torch.Size((len(rows), *self.shape[1:])), self.states[list(found)], pooled)
        return self._parts[found]

    def of_frames(self, span: slice) -> PreparedText:
        """The text of some frames of every row; what layers make is shared."""
        return self if self.seen is None else self.under(self.seen[:, span])

    def spread(self, made: Tensor, rows: int) -> Tensor:
        """What was made of the states (U, ...), for so many rows of frames: (rows, ...)."""
        return per_frame(made, rows // len(made)) if self.seen is None else made[self.seen.flatten()]

    def before(self, made: Tensor, tokens: Tensor) -> Tensor:
        """What was made of the states (U, L, C), each before the tokens (rows, S, C) that it is for: (rows, L + S, C)."""
        if self.seen is not None:
            return torch.cat([self.spread(made, len(tokens)), tokens], dim=1)
        tokens = tokens.unflatten(0, (len(made), -1))  # (U, rows / U, S, C)
        return torch.cat([made[:, None].expand(-1, tokens.shape[1], -1, -1), tokens], dim=2).flatten(0, 1)

    def cached(self, layer: nn.Module, make: Callable[[Tensor], Made]) -> Made:
        """What `layer` makes of the states, made when first asked for; under gradients made anew each time."""
        if torch.is_grad_enabled():
            return make(self.states)
        if layer not in self._made:
            self._made[layer] = make(self.states)
        return self._made[layer]  # type: ignore[return-value]


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Join = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Patches:
    """What a caller does inside one call, by the layer it is done in; a layer that is not named works as always.

    attention: in place of a layer's attention inside frames, (q, k, v) -> out. q (R*B*F, S, C), k and v (R*B*F, L + S, C)
    where the text stands before the pixels, otherwise as q; out as q or as v, whose pixels are then taken.
    attended: of what that attention comes to, (R*B*F, S, C) -> the same. joined: of features and the skip connection
    that a resnet on the way up takes, (R*B*F, C, h, w) each, before they are joined; the features may be written to.
    """

    attention: Mapping[nn.Module, Attend] = field(default_factory=dict)
    attended: Mapping[nn.Module, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    joined: Mapping[nn.Module, Join] = field(default_factory=dict)

    def attend(self, layer: nn.Module, attend: Attend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The attention of this layer, or what stands in its place: (R*B*F, S, C)."""
        return self.attention.get(layer, attend)(q, k, v)[:, -q.shape[1]:]

    def after(self, layer: nn.Module, out: Tensor) -> Tensor:
        """What attention came to, changed where this layer is named."""
        return self.attended[layer](out) if layer in self.attended else out

    def join(self, layer: nn.Module, x: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
        """Features and skip connection for this resnet, changed where it is named."""
        return self.joined[layer](x.clone(), for_rows(skip, len(x))) if layer in self.joined else (x, skip)


@dataclass(frozen=True)
class Conditioning:
    """time: (N*F, T), timestep, noise level and pooled text as one vector for each frame of a sample, or of a row
    where the pooled text is part of it."""

    time: Tensor
    text: PreparedText
    frames: int
    patches: Patches | None = None

    @property
    def rows(self) -> int:
        """Frames of all rows, once the text has entered."""
        return self.text.rows * self.frames


def without_repeats(rows: Tensor) -> Tensor:
    """Rows (B, ...) in which each stands for the equally many equal ones that follow it: (U, ...), or as they are.

    In training they are as they are: hardly any repeat, and looking waits for the device.
    """
    if len(rows) == 1 or torch.is_grad_enabled():
        return rows
    fresh = (rows[1:] != rows[:-1]).flatten(1).any(1).tolist()
    starts = [0, *(index + 1 for index, is_fresh in enumerate(fresh) if is_fresh)]
    length = len(rows) // len(starts)
    regular = starts == list(range(0, len(rows), length))
    return rows[::length] if regular else rows


def for_rows(x: Tensor, rows: int) -> Tensor:
    """Rows (N, ...) over and over until there are `rows`: what both halves of guidance share, for each of them."""
    return x if len(x) >= rows else torch.cat([x] * (rows // len(x)))  # which leaves channels last where they are


def per_frame(x: Tensor, frames: int) -> Tensor:
    """Rows of samples (B, ...) as rows of frames (B*F, ...)."""
    return x if frames == 1 else repeat(x, "b ... -> (b f) ...", f=frames)
