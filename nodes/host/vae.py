"""The latent stage's autoencoder as the host's VAE."""

from __future__ import annotations

from copy import copy
from types import SimpleNamespace
from typing import Any

import comfy.diffusers_convert
import comfy.sd
import torch
from torch import Tensor

from ...show1_core.cascade import Encoded, as_frames
from ...show1_core.checkpoints import ForeignFile, foreign
from ...show1_core.stages import LATENT_FACTOR
from ...show1_core.weights import last_line
from .vae_frames import all_frames, finite


def load_vae(tensors: dict[str, Tensor], config: dict[str, Any]) -> Any:
    """A VAE of a published `vae/` folder of any width. Raises ValueError for what is none, not whole, or not of four levels."""
    if not any(name.startswith("decoder.up_blocks.") for name in tensors):
        raise ForeignFile("this file", foreign(tensors), "a VAE in the published layout, such as show-1-sr2/vae")
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
    """Mean and standard deviation (F, C, h, w) of the latents of images (F, H, W, 3). Raises RuntimeError in one sentence."""
    mean, log_variance = all_frames(Encode, vae, images.movedim(-1, 1)).chunk(2, dim=1)
    return Encoded(mean, (0.5 * log_variance.clamp(-30.0, 20.0)).exp())


def decode(vae: Any, latent: Tensor) -> Tensor:
    """Latent (1, C, F, h, w) -> IMAGE (F, H, W, 3), clamped by the host. Raises RuntimeError in one sentence."""
    return all_frames(Decode, vae, as_frames(latent)).movedim(1, -1)


class Encode:
    """Pictures (F, 3, H, W) in 0..1 -> moments of their latents (F, 2C, h, w): the posterior before its mode is taken."""

    name = "encode"

    def __init__(self, vae: Any) -> None:
        self.vae, self.model = vae, vae.first_stage_model

    def moments(self, pixels: Tensor) -> Tensor:
        return finite(self.model.quant_conv(self.model.encoder(pixels)), self.name)

    def frame_bytes(self, frames: Tensor) -> float:
        return self.vae.memory_used_encode(frames.shape, self.vae.vae_dtype)

    def picture_size(self, frames: Tensor) -> tuple[int, int]:
        return frames.shape[2], frames.shape[3]

    def whole(self, frames: Tensor) -> Tensor:
        pixels = self.vae.process_input(frames).to(self.vae.device, self.vae.vae_dtype)
        return self.moments(pixels).to(self.vae.output_device).float()

    def tiled(self, frames: Tensor, side: int) -> Tensor:
        view = copy(self.vae)  # the VAE as it is before it takes the posterior's mode
        view.first_stage_model, view.latent_channels = SimpleNamespace(encode=self.moments), 2 * self.vae.latent_channels
        return view.encode_tiled(frames.movedim(1, -1), tile_x=side, tile_y=side, overlap=side // 4)


class Decode:
    """Latents (F, C, h, w) -> pictures (F, 3, H, W) in 0..1."""

    name = "decode"

    def __init__(self, vae: Any) -> None:
        self.vae, self.model = vae, vae.first_stage_model

    def pixels(self, latents: Tensor) -> Tensor:
        return finite(self.model.decode(latents), self.name)

    def frame_bytes(self, frames: Tensor) -> float:
        return self.vae.memory_used_decode(frames.shape, self.vae.vae_dtype)

    def picture_size(self, frames: Tensor) -> tuple[int, int]:
        return LATENT_FACTOR * frames.shape[2], LATENT_FACTOR * frames.shape[3]

    def whole(self, frames: Tensor) -> Tensor:
        pixels = self.pixels(frames.to(self.vae.device, self.vae.vae_dtype))
        return self.vae.process_output(pixels.to(self.vae.output_device).float())

    def tiled(self, frames: Tensor, side: int) -> Tensor:
        view = copy(self.vae)
        view.first_stage_model = SimpleNamespace(decode=self.pixels)
        tile = side // LATENT_FACTOR
        return view.decode_tiled(frames, tile_x=tile, tile_y=tile, overlap=tile // 4).movedim(-1, 1)
