"""Windows of time over a long clip: where they lie, and one clip of what was made of each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def spans(frames: int, length: int, overlap: int) -> list[tuple[int, int]]:
    """(start, stop) of windows of at most `length` frames, which share `overlap` < length with their neighbour.

    The last is moved back to end with the clip, so it may share more.
    """
    last = max(frames - length, 0)
    starts = [*range(0, last, length - overlap), last]
    return [(start, min(start + length, frames)) for start in starts]


def over_windows(function: Callable[[slice], Tensor], frames: int, length: int, overlap: int) -> Tensor:
    """function(span) (B, C, f, ...) of every window, as one clip (B, C, frames, ...).

    Where windows share a frame it is their mean, in which one counts the more the farther the frame lies from its ends: so
    nothing jumps where a window begins.
    """
    total, weights = None, torch.zeros(frames)
    for start, stop in spans(frames, length, overlap):
        part, weight = function(slice(start, stop)), distance_to_ends(stop - start)
        if total is None:
            total = part.new_zeros((*part.shape[:2], frames, *part.shape[3:]), dtype=torch.float32)
        total[:, :, start:stop] += part * over_frames(weight, part)
        weights[start:stop] += weight
    assert total is not None
    return (total / over_frames(weights, total)).to(part.dtype)


def distance_to_ends(frames: int) -> Tensor:
    """1, 2, 3, ... 2, 1: (frames,)"""
    rising = torch.arange(1.0, frames + 1)
    return torch.minimum(rising, rising.flip(0))


def over_frames(weights: Tensor, clip: Tensor) -> Tensor:
    """Weights (F,) in the shape and place to multiply a clip (B, C, F, ...) with."""
    return weights.to(clip.device).view(-1, *[1] * (clip.ndim - 3))
