"""Frames of any clip as a model wants them for training: how many, how large, in which order."""

from __future__ import annotations

import json

import torch.nn.functional as F
from torch import Tensor

from ..checkpoints import Identity
from ..stages import WINDOW_FRAMES

WIDTH, HEIGHT = 64, 40  # pixels of the published keyframes


def fitted(images: Tensor, identity: Identity) -> Tensor:
    """Frames (F, H, W, 3) as training takes them: at most 8, evenly from first to last, in a size of the model.

    Frames that the network can take, and no larger than the model's own size, keep theirs; others are resized straight to it,
    as VMC does, whatever their shape.
    """
    return resized(thinned(images), *size_for(images.shape[1], images.shape[2], identity))


def thinned(images: Tensor, most: int = WINDOW_FRAMES) -> Tensor:
    """At most so many frames, evenly spread, the first and the last among them."""
    count = len(images)
    if count <= most:
        return images
    return images[[round(index * (count - 1) / (most - 1)) for index in range(most)]]


def size_for(height: int, width: int, identity: Identity) -> tuple[int, int]:
    """(height, width) that frames of this size are trained in. A config may tell the model's own width, `sample_size`."""
    multiple, told = identity.config.size_multiple, json.loads(identity.record)["unet"].get("sample_size")
    own_width = told if isinstance(told, int) and told >= 2 * multiple and told % multiple == 0 else WIDTH
    own_height = max(round(own_width * HEIGHT / WIDTH / multiple), 1) * multiple
    fits = min(height, width) >= multiple and height % multiple == 0 and width % multiple == 0
    return (height, width) if fits and height * width <= own_height * own_width else (own_height, own_width)


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with antialiasing: (F, H, W, 3) -> (F, height, width, 3)."""
    if images.shape[1:3] == (height, width):
        return images
    frames = F.interpolate(images.movedim(-1, 1).float(), size=(height, width), mode="bilinear", antialias=True)
    return frames.movedim(1, -1)
