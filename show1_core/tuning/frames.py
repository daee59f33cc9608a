"""Frames of any clip as a model wants them for training: how many, how large, in which order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from ..checkpoints import Identity
from ..stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_FACTOR, LATENT_SR, PIXEL_SR, WINDOW_FRAMES

# (width, height) in pixels of what the published stages make
SIZES: Mapping[str, tuple[int, int]] = {
    KEYFRAMES.name: (64, 40), INTERPOLATION.name: (64, 40), FIRST_FRAME.name: (256, 160), PIXEL_SR.name: (256, 160),
    LATENT_SR.name: (576, 320)}
LONGEST = 29  # frames of the published clip


def fitted(images: Tensor, identity: Identity) -> Tensor:
    """Frames (F, H, W, 3) as training takes them, in a size of the model.

    Of keyframes at most 8, evenly from first to last; of the stages after them, which see neighbouring frames, the first 29.
    Frames that the network can take, and no larger than the model's own size, keep theirs; others are resized straight to it,
    as VMC does, whatever their shape.
    """
    chosen = thinned(images) if identity.stage is KEYFRAMES else images[:LONGEST]
    return resized(chosen, *size_for(images.shape[1], images.shape[2], identity))


def thinned(images: Tensor, most: int = WINDOW_FRAMES) -> Tensor:
    """At most so many frames, evenly spread."""
    return images if len(images) <= most else images[spread(len(images), most)]


def spread(count: int, most: int) -> list[int]:
    """Of so many frames at most `most`, evenly spread, the first and the last among them."""
    return list(range(count)) if count <= most else [round(index * (count - 1) / max(most - 1, 1)) for index in range(most)]


def multiple_of(identity: Identity) -> int:
    """What width and height in pixels must be divisible by: the network halves them, and its condition is a quarter of them."""
    multiple = identity.config.size_multiple
    if identity.stage is LATENT_SR:
        return LATENT_FACTOR * multiple
    return math.lcm(multiple, 4) if identity.stage in (FIRST_FRAME, PIXEL_SR) else multiple


def size_for(height: int, width: int, identity: Identity) -> tuple[int, int]:
    """(height, width) that frames of this size are trained in. A pixel model's config may tell its own width, `sample_size`."""
    multiple, told = multiple_of(identity), json.loads(identity.record)["unet"].get("sample_size")
    own_width, own_height = SIZES[identity.stage.name]
    if isinstance(told, int) and told >= 2 * multiple and told % multiple == 0 and identity.stage is not LATENT_SR:
        own_width, own_height = told, told * own_height / own_width
    own_height = max(round(own_height / multiple), 1) * multiple
    fits = min(height, width) >= multiple and height % multiple == 0 and width % multiple == 0
    return (height, width) if fits and height * width <= own_height * own_width else (own_height, own_width)


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with antialiasing: (F, H, W, 3) -> (F, height, width, 3)."""
    if images.shape[1:3] == (height, width):
        return images
    frames = F.interpolate(images.movedim(-1, 1).float(), size=(height, width), mode="bilinear", antialias=True)
    return frames.movedim(1, -1)
