"""The latent stage's autoencoder as the host's VAE."""

from __future__ import annotations

from copy import copy
from types import SimpleNamespace
from typing import Any

import comfy.diffusers_convert
import comfy.sd
import latent_preview
import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from ...show1_core.cascade import Encoded
from ...show1_core.checkpoints import foreign
from ...show1_core.weights import last_line
from ..sheets import Colours

PALETTE, BLOCK = 8, 16  # blocks across and down of the picture that colours are fitted to, and pixels of a block's side


def load_vae(tensors: dict[str, Tensor], config: dict[str, Any]) -> Any:
    """A VAE of a published `vae/` folder of any width. Raises ValueError for what is none, not whole, or not of four levels."""
    if not any(name.startswith("decoder.up_blocks.") for name in tensors):
        raise ValueError(f"this file is {foreign(tensors)}; expected a VAE in the published layout, such as show-1-sr2/vae.")
    channels = config["block_out_channels"]
    if len(channels) != 4:
        raise ValueError(f"the VAE has {len(channels)} levels; expected 4, which make a latent an eighth of the picture's size.")
    coder = {
        "double_z": True, "z_channels": config["latent_channels"], "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": channels[0], "ch_mult": [width // channels[0] for width in channels], "num_res_blocks": config["layers_per_block"],
        "attn_resolutions": [], "dropout": 0.0}
    try:
        vae = comfy.sd.VAE(sd=dict(tensors), config={"params": {"ddconfig": coder, "embed_dim": config["latent_channels"]}})
    except RuntimeError as error:
        raise ValueError(f"the VAE does not fit its config.json ({last_line(error)}); download it again.") from error
    given = comfy.diffusers_convert.convert_vae_state_dict(dict(tensors))
    missing = sorted(vae.first_stage_model.state_dict().keys() - given.keys())
    if missing:  # which the host would leave as they happen to be
        raise ValueError(f"the VAE lacks {len(missing)} tensors (such as {missing[0]}); download it again.")
    for norm in vae.first_stage_model.modules():
        if isinstance(norm, torch.nn.GroupNorm):  # the host builds them with 32 groups, whatever the config says
            norm.num_groups = config.get("norm_num_groups", 32)
    return vae


def has_posterior(vae: Any) -> bool:
    """Whether a VAE is one of Stable Diffusion's kind, with a Gaussian posterior over four channels."""
    return hasattr(vae.first_stage_model, "quant_conv") and vae.latent_channels == 4 and vae.latent_dim == 2


def encode_posterior(vae: Any, images: Tensor) -> Encoded:
    """Mean and standard deviation of each frame's latent (F, C, h, w), by the host's own batching and tiling."""
    view, model = copy(vae), vae.first_stage_model  # the VAE as it is before it takes the posterior's mode
    view.first_stage_model = SimpleNamespace(encode=lambda pixels: model.quant_conv(model.encoder(pixels)))
    view.latent_channels = 2 * vae.latent_channels
    mean, log_variance = view.encode(images).chunk(2, dim=1)
    return Encoded(mean, (0.5 * log_variance.clamp(-30.0, 20.0)).exp())


def decode(vae: Any, latent: Tensor) -> Tensor:
    """Latent (1, C, F, h, w) -> IMAGE (F, H, W, 3), clamped by the host."""
    return vae.decode(latent[0].transpose(0, 1))


def colours(vae: Any, model: Any) -> Colours | None:
    """The VAE's colours, fitted to how it encodes a palette; None when the user wants no previews, or others."""
    latent_format = model.model.latent_format
    previewer = latent_preview.get_previewer(model.load_device, latent_format)
    if not isinstance(previewer, latent_preview.Latent2RGBPreviewer):
        return None
    blocks = torch.rand(PALETTE, PALETTE, 3, generator=torch.Generator().manual_seed(0))
    picture = repeat(blocks, "y x c -> 1 (y by) (x bx) c", by=BLOCK, bx=BLOCK)
    latent = latent_format.process_in(encode_posterior(vae, picture).mean).float().cpu()
    if not bool(torch.isfinite(latent).all()):
        return None  # the clip itself will come out so, and is refused with a sentence
    known = rearrange(latent, "f c y x -> (f y x) c")
    wanted = reduce(2 * picture - 1, "f (y by) (x bx) c -> (f y x) c", "mean", by=8, bx=8)
    return Colours(torch.linalg.lstsq(torch.cat([known, torch.ones(len(known), 1)], dim=1), wanted).solution)
