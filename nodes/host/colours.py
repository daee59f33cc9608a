"""The colours of a VAE's latents, fitted to how it encodes a palette: for previews in true colours."""

from __future__ import annotations

from typing import Any

import latent_preview
import torch
from einops import rearrange, reduce, repeat

from ..sheets import Colours
from .vae import encode_posterior

PALETTE, BLOCK = 8, 16  # blocks across and down of the picture that colours are fitted to, and pixels of a block's side


def colours(vae: Any, model: Any) -> Colours | None:
    """The VAE's colours, fitted to how it encodes a palette; None when the user wants no previews, or a decoder's."""
    latent_format = model.model.latent_format
    previewer = latent_preview.get_previewer(model.load_device, latent_format)
    if not isinstance(previewer, latent_preview.Latent2RGBPreviewer):
        return None
    blocks = torch.rand(PALETTE, PALETTE, 3, generator=torch.Generator().manual_seed(0))
    picture = repeat(blocks, "y x c -> 1 (y by) (x bx) c", by=BLOCK, bx=BLOCK)
    latent = latent_format.process_in(encode_posterior(vae, picture).mean).float().cpu()
    known = rearrange(latent, "f c y x -> (f y x) c")
    wanted = reduce(2 * picture - 1, "f (y by) (x bx) c -> (f y x) c", "mean", by=8, bx=8)
    return Colours(torch.linalg.lstsq(torch.cat([known, torch.ones(len(known), 1)], dim=1), wanted).solution)
