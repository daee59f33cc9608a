"""Clips as pictures: all frames on one sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

SHEET_SIDE = 512  # pixels of a preview's longer side, which small frames are enlarged to
LARGEST_SIDE = 1024  # pixels, which large frames are reduced to
LABEL_HEIGHT = 14  # pixels above each take, for its number


@dataclass(frozen=True)
class Colours:
    """A VAE's latents as colours: `weights` (C + 1, 3) are the channels' shares of red, green and blue, and what is added."""

    weights: Tensor

    def __call__(self, latent: Tensor) -> Tensor:
        """(B, C, F, h, w) -> (B, 3, F, h, w), about -1..1."""
        weights = self.weights.to(latent)
        return torch.einsum("bcfyx,cr->brfyx", latent, weights[:-1]) + weights[-1].view(3, 1, 1, 1)


def contact_sheet(clip: Tensor) -> Image.Image:
    """All frames of x0 (B, 3, F, H, W) in -1..1 as one picture, row by row."""
    levels = clip.float().clamp(-1, 1).add(1).mul(127.5).byte()
    frames = levels.permute(0, 2, 3, 4, 1).flatten(0, 1).cpu().numpy()  # (B*F, H, W, 3)
    count, height, width, _ = frames.shape
    columns = int(np.ceil(np.sqrt(count * height / width)))
    rows = -(-count // columns)
    padded = np.concatenate([frames, np.zeros((rows * columns - count, height, width, 3), np.uint8)])
    sheet = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    picture = Image.fromarray(sheet)
    if max(picture.size) > LARGEST_SIDE:
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    scale = max(SHEET_SIDE // max(picture.size), 1)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def labelled_sheet(takes: list[Tensor], seed: int) -> Tensor:
    """Takes (F, H, W, 3) in 0..1, a row each under its number and seed, as one IMAGE (1, H', W', 3)."""
    return sheet_of(takes, [f"{number}   seed {seed + number - 1}" for number in range(1, len(takes) + 1)])


def sheet_of(takes: list[Tensor], labels: list[str]) -> Tensor:
    """Takes (F, H, W, 3) in 0..1, a row each under its label, as one IMAGE (1, H', W', 3)."""
    rows = []
    for take, label in zip(takes, labels, strict=True):
        frames = (take.clamp(0, 1) * 255).byte().cpu().numpy()
        strip = Image.fromarray(np.concatenate(list(frames), axis=1))  # (H, F*W, 3)
        row = Image.new("RGB", (strip.width, strip.height + LABEL_HEIGHT))
        row.paste(strip, (0, LABEL_HEIGHT))
        ImageDraw.Draw(row).text((2, 1), label, fill="white")
        rows.append(np.asarray(row))
    return torch.from_numpy(np.concatenate(rows)).float()[None] / 255
