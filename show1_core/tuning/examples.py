"""What each stage of the cascade learns from one clip: the clip as the stage should make it, and what its network is given.

The keyframe model learns from the whole clip in every step. The stages after it learn from a window of it, of neighbouring
frames, drawn anew in every step; beside it they are given the ends of the window, or the same clip made small, as in the cascade.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import cascade
from ..checkpoints import Identity
from ..schedule import Schedule, add_noise
from ..stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, NOISING, PAIR_FRAMES, WINDOW_FRAMES
from .frames import fitted, multiple_of, resized
from .objectives import EXPERT_TIMESTEPS, with_first_frame

LOOKS = "noise"  # the one loss of the stages after the keyframes, which make no motion of their own
SMALLER = 4  # times that the pixel super-resolution models enlarge
FIRST_SHOWN = 0.7  # of the windows are given the clean first frame, as most windows of a clip are (numerics T11)
Encode = Callable[[Tensor], cascade.Encoded]


@dataclass(frozen=True)
class Example:
    """What is learnt from: a clip (1, C, F, H, W) in -1..1 and its text states (1, L, D).

    frames (1, C', F, H, W) and noise_level are what a stage's network is given beside the noisy clip; width and height are in
    multiples of `multiple`.
    """

    clip: Tensor
    text: Tensor
    frames: Tensor | None = None
    noise_level: int | None = None
    multiple: int = 8

    @property
    def window(self) -> int:
        """How many frames one step sees."""
        return self.clip.shape[2]

    @property
    def timesteps(self) -> int:
        """How many timesteps, from 0, are learnt."""
        return 1000

    @property
    def shape(self) -> torch.Size:
        """Of the clip that one step sees."""
        return self.clip[:, :, :self.window].shape

    def of_step(self, draws: torch.Generator) -> Example:
        """What one step learns from, drawn from a CPU generator: here the whole clip, without a draw."""
        return self

    def ordinary(self) -> Example:
        """The same with tensors of its own, which a backward pass may keep, on the CPU, where noise is drawn."""
        return replace(self, **{field.name: value.cpu().clone() for field in fields(self)
                                if isinstance(value := getattr(self, field.name), Tensor)})

    def halved(self) -> Example:
        """The same at half the width and height. Raises ValueError where it is small already."""
        height, width = (side // 2 // self.multiple * self.multiple for side in self.clip.shape[-2:])
        if min(height, width) < self.multiple:
            raise ValueError("too small to be halved")

        def small(clip: Tensor) -> Tensor:
            return F.interpolate(clip, size=(clip.shape[2], height, width), mode="area")

        return replace(self, clip=small(self.clip), frames=None if self.frames is None else small(self.frames))

    def span(self, draws: torch.Generator) -> slice:
        """A window of neighbouring frames."""
        start = int(torch.randint(self.clip.shape[2] - self.window + 1, (1,), generator=draws))
        return slice(start, start + self.window)


@dataclass(frozen=True)
class Between(Example):
    """Of the interpolation model: five neighbouring frames, of which it is given the first and the last (numerics 2.4)."""

    @property
    def window(self) -> int:
        return PAIR_FRAMES

    def of_step(self, draws: torch.Generator) -> Example:
        """A window with the blend of its ends."""
        clip = self.clip[:, :, self.span(draws)]
        return Example(clip, self.text, cascade.pair_condition(clip[:, :, [0, -1]]), multiple=self.multiple)


@dataclass(frozen=True)
class Upscaled(Example):
    """Of a pixel super-resolution model: `frames` is the clip made small and large again, clean; `noise_level` the highest.

    A step noises the condition to a level drawn flat from 0 to that one, so the LoRA serves at every level up to it.
    """

    noising: Schedule = NOISING  # of the condition
    most: int = WINDOW_FRAMES
    first_shown: float = FIRST_SHOWN

    @property
    def window(self) -> int:
        return min(self.most, self.clip.shape[2])

    def of_step(self, draws: torch.Generator) -> Example:
        """A window with its condition, noised (numerics 2.5, 2.6), and mostly the clean first frame."""
        if self.frames is None or self.noise_level is None:
            raise ValueError("an upscaled example needs frames and a noise level")
        part = self.span(draws)
        clip, small = self.clip[:, :, part], self.frames[:, :, part]
        level = int(torch.randint(self.noise_level + 1, (1,), generator=draws))
        condition = add_noise(self.noising, small, torch.randn(small.shape, generator=draws), level)
        known = torch.rand(1, generator=draws) < self.first_shown
        return Example(clip, self.text, with_first_frame(condition, clip[:, :, :1], known), level, self.multiple)


@dataclass(frozen=True)
class Latents(Example):
    """Of the latent expert: `clip` holds scaled latents (1, 4, F, h, w); only its own timesteps are learnt (paper, 3.4)."""

    @property
    def window(self) -> int:
        return min(WINDOW_FRAMES, self.clip.shape[2])

    @property
    def timesteps(self) -> int:
        return EXPERT_TIMESTEPS

    def of_step(self, draws: torch.Generator) -> Example:
        """A window of the latents."""
        return replace(self, clip=self.clip[:, :, self.span(draws)])


def check_loss(identity: Identity, loss: str) -> None:
    """Raises ValueError for a loss that compares motion where the stage makes none of its own."""
    stage = identity.stage
    if stage is not KEYFRAMES and loss != LOOKS:
        raise ValueError(f"loss is {loss!r}, which is for the motion of keyframes; {stage.title} ({identity.source.name}) "
                         f"learns looks alone: set loss to {LOOKS}.")


def example_of(identity: Identity, images: Tensor, text: Tensor, encode: Encode | None = None) -> Example:
    """What a stage's model learns from: images (F, H, W, 3) in 0..1 are what it should make, text (1, L, D) says what they show.

    `encode` takes images (F, H, W, 3) to the latents of the latent stage. Raises ValueError where that is missing.
    """
    stage, images = identity.stage, fitted(images, identity)
    if stage is LATENT_SR:
        if encode is None:
            raise ValueError(f"{stage.title} ({identity.source.name}) learns in latent space; give its VAE too, show-1-sr2/vae "
                             "or any of Stable Diffusion 1.")
        return Latents(cascade.as_clip(encode(images).mean) * identity.latent_scale, text)
    clip = cascade.to_clip(images)
    if stage is KEYFRAMES:
        return Example(clip, text)
    if stage is INTERPOLATION:
        still = clip[:, :, -1:].repeat(1, 1, max(PAIR_FRAMES - clip.shape[2], 0), 1, 1)
        return Between(torch.cat([clip, still], dim=2), text)
    small = resized(images, images.shape[1] // SMALLER, images.shape[2] // SMALLER)
    frames, multiple = cascade.enlarge(cascade.to_clip(small), SMALLER), math.lcm(8, multiple_of(identity))
    example = Upscaled(clip, text, frames, stage.noise_level, multiple, identity.noising)
    return replace(example, most=1, first_shown=0.0) if stage is FIRST_FRAME else example
