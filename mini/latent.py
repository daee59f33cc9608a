"""The last stage: a small KL autoencoder, and the expert that redraws clips in its latent space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from show1_core.tuning import objectives as goal

from .grammar import caption
from .operations import cheap_products
from .recipes import HIGH, UNetRecipe, VaeRecipe, vae_config
from .t5 import TextEncoder
from .tasks import GUIDED_FLOOR, PAIRS, WINDOW, DiffusionTask, clips, gaussian, spans
from .vae_start import pass_colours_on
from .world import draw

KL_WEIGHT = 1e-6
PATCH = 64  # rows and columns of the patches the autoencoder learns from
LATENT_PATCH = (10, 16)  # rows and columns of the patches the latent stage learns from, a quarter of a frame
WHOLE_EVERY = 8  # one in so many steps sees whole frames, for the attention in the middle


def build_vae(recipe: VaeRecipe, seed: int = 0) -> Any:
    """diffusers' AutoencoderKL of a recipe."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKL.from_config(vae_config(recipe))
    pass_colours_on(vae)
    return vae


class Autoencoder(nn.Module):
    """Learns to carry frames through four channels at an eighth of their size."""

    def __init__(self, recipe: VaeRecipe, seed: int = 0) -> None:
        super().__init__()
        self.vae = build_vae(recipe, seed)

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        whole = data.integers(WHOLE_EVERY) == 0
        scenes = draw(data, 1 if whole else batch, pairs=PAIRS)
        frames = clips(scenes, spans(data, len(scenes), 1), HIGH)[:, :, 0].to(self.vae.device)  # (B, 3, H, W)
        if not whole:
            top, left = (int(data.integers(0, size - PATCH + 1)) for size in HIGH)
            frames = frames[..., top : top + PATCH, left : left + PATCH]
        with cheap_products(frames.device):
            posterior = self.vae.encode(frames).latent_dist
            mean, log_variance = posterior.mean.float(), posterior.logvar.float()
            latent = mean + (0.5 * log_variance).exp() * gaussian(mean, noise)
            result = self.vae.decode(latent).sample.float()
        error = result - frames
        return error.square().mean() + 0.1 * error.abs().mean() + KL_WEIGHT * goal.kl_to_normal(mean, log_variance)


@torch.no_grad()
def encode(vae: Any, clip: Tensor) -> Tensor:
    """Posterior means of a clip (1, 3, F, H, W): (4, F, h, w), unscaled."""
    return vae.encode(clip[0].transpose(0, 1)).latent_dist.mean.transpose(0, 1)


@torch.no_grad()
def standardise(vae: Any, latents: Tensor) -> None:
    """Shift and scale the latent channels so that, times the scaling factor, they have mean 0 and variance 1.

    latents (N, 4, F, h, w) are some of the encoder's; both 1x1 convolutions around the latent space take up the change,
    so frames pass through as before.
    """
    channels = latents.shape[1]
    mean = latents.mean(dim=(0, 2, 3, 4))
    scale = 1 / (vae.config.scaling_factor * latents.std(dim=(0, 2, 3, 4)))
    out, back = vae.quant_conv, vae.post_quant_conv
    out.weight[:channels] *= scale[:, None, None, None]
    out.bias[:channels] = (out.bias[:channels] - mean) * scale
    out.bias[channels:] += 2 * scale.log()
    back.bias += (back.weight[..., 0, 0] * mean).sum(dim=1)
    back.weight /= scale[:, None, None]


def standardised(vae: Any, count: int = 24, seed: int = 3) -> Any:
    """The autoencoder with its latent space standardised on a few rendered clips."""
    standardise(vae, Bank.fill(vae, count, seed).latents / vae.config.scaling_factor)
    return vae


@dataclass(frozen=True)
class Bank:
    """Encoded clips to learn from: latents (N, 4, F, h, w), scaled, and a caption each."""

    latents: Tensor
    captions: tuple[str, ...]

    @classmethod
    def fill(cls, vae: Any, count: int, seed: int, held_out: bool = False) -> Bank:
        """Render and encode windows of `count` clips."""
        data = np.random.default_rng((seed, int(held_out)))
        latents, captions = [], []
        for _ in range(count):
            scenes = draw(data, 1, held_out, PAIRS)
            latents.append(encode(vae, clips(scenes, spans(data, 1, WINDOW), HIGH)))
            captions.append(caption(data, scenes[0].kind))
        return cls(torch.stack(latents) * vae.config.scaling_factor, tuple(captions))


class LatentSR(DiffusionTask):
    """Stage 4: noise prediction in latent space, for the expert on timesteps 0..899 only (paper section 3.4)."""

    floor = GUIDED_FLOOR  # it redraws what is there already
    clips = 120  # in the bank

    def __init__(self, recipe: UNetRecipe, text: TextEncoder, bank: Bank, last: int = goal.EXPERT_TIMESTEPS) -> None:
        super().__init__(recipe, text)
        self.bank, self.last = bank, last

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        clean, captions = self.pick(batch, data)
        clean, batch = clean.to(self.device), len(captions)
        timestep = self.timesteps(batch, noise, self.last)
        epsilon = gaussian(clean, noise)
        prediction = self.predict(goal.noised(clean, epsilon, timestep, self.abar), timestep, self.describe(captions, data))
        return goal.noise_prediction(prediction, epsilon, self.weight[timestep])

    def pick(self, batch: int, data: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Patches of some clips of the bank, or whole frames of a quarter as many, with their captions."""
        whole = data.integers(WHOLE_EVERY) == 0
        rows = data.integers(0, len(self.bank.captions), max(batch // 4, 1) if whole else batch)
        clean = self.bank.latents[torch.from_numpy(rows)]  # (B, 4, F, h, w)
        if not whole:
            height, width = LATENT_PATCH
            top, left = (int(data.integers(0, room + 1)) for room in (clean.shape[-2] - height, clean.shape[-1] - width))
            clean = clean[..., top : top + height, left : left + width]
        return clean, [self.bank.captions[row] for row in rows]
