"""Single frames of the small world, as pixels and as the VAE's latents: what the ablation learns from.

The published ablation (paper, tables 3 to 6) compares whole cascades. What it claims of the first stage, that pixels follow a
prompt better than latents do, needs no motion: so here are stills, of which a CPU learns enough in minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from show1_core import cascade
from show1_core.sampling import StageSampler
from show1_core.stages import KEYFRAMES

from .recipes import HIGH, IMAGES_UNET, LOW, MIDDLE, UNetRecipe
from .settings import Setting
from .t5 import TextEncoder
from .tasks import TextToFrames, clips
from .world import Scene, draw

PAIRS = 0.5  # of the stills show two solids
SAMPLING = Setting(steps=25, guidance=5.0)  # both networks learn little, and need the guidance that the finished ones do not
AT_ONCE = 16  # stills through a network: of more the features leave a CPU's cache


@dataclass(frozen=True)
class Space:
    """Where a model draws: its network, and the way from frames (B, 3, H, W), -1..1, of the final size, to the middle one."""

    name: str
    recipe: UNetRecipe
    size: tuple[int, int, int]  # channels, height, width of what is drawn
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def pixels() -> Space:
    """Frames at the size of the keyframes; enlarged without a network on the way back."""
    return Space("pixels", IMAGES_UNET, (3, *LOW), partial(shrunk, size=LOW), lambda x: F.interpolate(x, MIDDLE, mode="bicubic"))


def latents(vae: Any) -> Space:
    """The posterior's means, scaled: as high and wide as the keyframes, so both networks do the same work."""
    scale = vae.config.scaling_factor
    recipe = replace(IMAGES_UNET, in_channels=4, out_channels=8)
    return Space("latents", recipe, (4, *LOW), lambda x: vae.encode(x).latent_dist.mean * scale,
                 lambda x: shrunk(vae.decode(x / scale).sample, MIDDLE))


def shrunk(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (B, 3, H, W) at a smaller size; every pixel the mean of those it covers."""
    return F.interpolate(frames, size, mode="area")


def there_and_back(space: Space, frames: Tensor) -> Tensor:
    """What a space keeps of frames of the final size, at the middle one."""
    return torch.cat([space.decode(space.encode(part)) for part in frames.split(AT_ONCE)])


@dataclass(frozen=True)
class Bank:
    """The same scenes in one of the spaces: (N, C, h, w)."""

    scenes: tuple[Scene, ...]
    drawn: Tensor


@torch.no_grad()
def banks(spaces: tuple[Space, ...], count: int, seed: int = 21) -> list[Bank]:
    """`count` stills, each at a time of its own of its clip, in every space."""
    data = np.random.default_rng(seed)
    scenes, parts = draw(data, count, pairs=PAIRS), []
    for start in range(0, count, AT_ONCE):
        some = scenes[start:start + AT_ONCE]
        frames = clips(some, data.uniform(size=(len(some), 1)), HIGH)[:, :, 0]
        parts.append([space.encode(frames) for space in spaces])
    return [Bank(scenes, torch.cat(drawn)) for drawn in zip(*parts, strict=True)]


class Stills(TextToFrames):
    """Learns a bank; the text encoder has learnt before and stays as it is, as the published one does."""

    def __init__(self, space: Space, text: TextEncoder, bank: Bank, seed: int) -> None:
        super().__init__(space.recipe, text, seed)
        self.text.requires_grad_(False)
        self.bank = bank

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        chosen = data.integers(0, len(self.bank.scenes), batch)
        clean = self.bank.drawn[torch.from_numpy(chosen)].to(self.device)
        return self.error(clean, [self.bank.scenes[index] for index in chosen], data, noise)


@torch.no_grad()
def sampled(space: Space, unet: Any, text: TextEncoder, prompts: list[str], seed: int) -> Tensor:
    """A still a prompt at the middle size: (P, 3, H, W), -1..1. Latents have no threshold: they are not bounded."""
    states = text(["", *prompts])
    schedule = KEYFRAMES.schedule if space.name == "pixels" else replace(KEYFRAMES.schedule, threshold_max=None)
    channels, height, width = space.size
    noise = torch.randn((len(prompts), channels, 1, height, width), generator=cascade.seeded(seed))
    made = []
    for text_states, start in zip(states[1:].split(AT_ONCE), noise.split(AT_ONCE), strict=True):
        run = StageSampler(unet, schedule, text_states, states[:1], SAMPLING.steps, SAMPLING.guidance)
        made.append(space.decode(run(start, cascade.Condition(), None, cascade.seeded(seed)).squeeze(2)))
    return torch.cat(made).clamp(-1, 1)
