"""Frames that a clip is to begin or end with: the rest is drawn around them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .cascade import VideoSize, to_clip


class GivenFrames(NamedTuple):
    """clip (1, 3, F, H, W) in -1..1, zeros where nothing is given; drawn (1, 1, F, H, W): 0 where a frame is kept, else 1."""

    clip: Tensor
    drawn: Tensor


def given_frames(size: VideoSize, first: Tensor | None, last: Tensor | None) -> GivenFrames:
    """A clip of this size that begins with the frames `first` and ends with `last`, (n, height, width, 3) in 0..1 each.

    Raises ValueError when nothing is given, or no frame is left to be drawn.
    """
    beginning, end = (0 if images is None else len(images) for images in (first, last))
    if not beginning + end:
        raise ValueError("no frame is given; connect first_frames, last_frames or both.")
    if beginning + end >= size.frames:
        raise ValueError(f"{beginning} first and {end} last frames are given, which leaves none of {size.frames} to be drawn; "
                         f"set frames to {beginning + end + 1} or more, or give fewer.")
    clip, drawn = torch.zeros(1, 3, *size), torch.ones(1, 1, *size)
    for images, place in ((first, slice(0, beginning)), (last, slice(size.frames - end, size.frames))):
        if images is not None:
            clip[:, :, place], drawn[:, :, place] = to_clip(fitted(images, size.height, size.width)), 0.0
    return GivenFrames(clip, drawn)


def fitted(images: Tensor, height: int, width: int) -> Tensor:
    """The middle of pictures (n, H, W, 3) in 0..1, as much as has the new shape, at the new size: (n, height, width, 3).

    What has the size already is left as it is.
    """
    if tuple(images.shape[1:3]) == (height, width):
        return images
    scale = max(height / images.shape[1], width / images.shape[2])
    high, wide = (min(round(side / scale), whole) for side, whole in zip((height, width), images.shape[1:3], strict=True))
    top, left = (images.shape[1] - high) // 2, (images.shape[2] - wide) // 2
    middle = images[:, top:top + high, left:left + wide].movedim(-1, 1).float()
    resized = F.interpolate(middle, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 1).movedim(1, -1)
