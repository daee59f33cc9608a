"""Sizes and hyperparameters of the mini cascade, as data. Configs are written in the published layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, Stage

from .loop import Plan
from .t5 import T5Recipe

LOW, MIDDLE, HIGH = (20, 32), (80, 128), (160, 256)  # height, width of the cascade's three sizes
SR_SCALE = 1.4142271248762552  # the published number, not the square root of two (numerics T14)


@dataclass(frozen=True)
class UNetRecipe:
    """Size of one UNet. `levels` names its blocks from fine to coarse: R resnets only, S with text, X transformers, D plain."""

    stage: Stage
    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    levels: str
    head_dim: int = 8
    groups: int = 8
    text_dim: int = T5Recipe.d_model
    time_dim: int | None = None  # four times the first level's channels
    temporal: bool = True  # a model of clips, not of images


# Three levels of 8x20x32, text, space and time attended to at two of them, like the published model; 32 channels is the
# least that the norms of the temporal convolutions allow.
KEYFRAMES_UNET = UNetRecipe(KEYFRAMES, 3, 6, (32, 64, 96), "RSS", head_dim=32)
# What the keyframe model is before it knows of time: its spatial layers (paper section 3.2 starts from an image model).
IMAGES_UNET = replace(KEYFRAMES_UNET, temporal=False)
INTERPOLATION_UNET = replace(KEYFRAMES_UNET, stage=INTERPOLATION, in_channels=7)
# The condition says nearly everything here, so two levels do; the video model has the image model's spatial layers.
FIRST_FRAME_UNET = UNetRecipe(FIRST_FRAME, 6, 6, (32, 32), "RR", time_dim=32, temporal=False)
PIXEL_SR_UNET = UNetRecipe(PIXEL_SR, 6, 6, (32, 32), "RR", time_dim=32)
LATENT_SR_UNET = UNetRecipe(LATENT_SR, 4, 4, (32,), "D", head_dim=4)

DOWN = {"R": "ResnetDownsampleBlock", "S": "SimpleCrossAttnDownBlock", "X": "CrossAttnDownBlock", "D": "DownBlock"}
UP = {"R": "ResnetUpsampleBlock", "S": "SimpleCrossAttnUpBlock", "X": "CrossAttnUpBlock", "D": "UpBlock"}


def unet_config(recipe: UNetRecipe) -> dict[str, Any]:
    """The `unet/config.json` of a recipe: the keys of the published file of its stage."""
    dimensions = "3D" if recipe.temporal else "2D"
    pixels = recipe.stage is not LATENT_SR
    upscales = recipe.stage in (FIRST_FRAME, PIXEL_SR)
    config: dict[str, Any] = {
        "_class_name": f"UNet{dimensions}ConditionModel",
        "act_fn": "gelu" if pixels else "silu",
        "addition_embed_type": "text" if pixels else None,
        "addition_embed_type_num_heads": 4,
        "attention_head_dim": recipe.head_dim if pixels else [recipe.head_dim] * len(recipe.levels),
        "block_out_channels": list(recipe.channels),
        "class_embed_type": "timestep" if upscales else None,
        "cross_attention_dim": recipe.text_dim,
        "cross_attention_norm": "group_norm" if pixels else None,
        "down_block_types": [DOWN[level] + dimensions for level in recipe.levels],
        "encoder_hid_dim": recipe.text_dim if pixels else None,
        "encoder_hid_dim_type": "text_proj" if pixels else None,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": recipe.in_channels,
        "layers_per_block": 1,
        "mid_block_scale_factor": SR_SCALE if upscales else 1,
        "mid_block_type": f"UNetMidBlock{dimensions}SimpleCrossAttn" if pixels else "UNetMidBlock3DCrossAttn",
        "norm_eps": 1e-5,
        "norm_num_groups": recipe.groups,
        "out_channels": recipe.out_channels,
        "resnet_out_scale_factor": SR_SCALE if upscales else 1.0,
        "resnet_skip_time_act": upscales,
        "resnet_time_scale_shift": "scale_shift" if pixels else "default",
        "time_embedding_act_fn": "gelu" if upscales else None,
        "time_embedding_dim": recipe.time_dim,
        "time_embedding_type": "positional",
        "up_block_types": [UP[level] + dimensions for level in reversed(recipe.levels)],
        "use_linear_projection": not pixels,
    }
    if recipe.temporal:
        config["transfromer_in_opt"] = False  # spelled so in the published files (numerics T17)
    return config



@dataclass(frozen=True)
class VaeRecipe:
    """Size of the autoencoder: an eighth of the height and width, four channels, as the SR2 stage expects.

    Groups of four channels: a norm over single channels, which 32 groups would be, erases the level of a colour.
    """

    channels: tuple[int, ...] = (32, 32, 32, 32)
    latent_channels: int = 4
    layers: int = 1
    groups: int = 8
    scaling_factor: float = 0.18215


def vae_config(recipe: VaeRecipe) -> dict[str, Any]:
    """The `vae/config.json` of a recipe."""
    levels = len(recipe.channels)
    return {
        "act_fn": "silu",
        "block_out_channels": list(recipe.channels),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "force_upcast": True,
        "in_channels": 3,
        "latent_channels": recipe.latent_channels,
        "layers_per_block": recipe.layers,
        "norm_num_groups": recipe.groups,
        "out_channels": 3,
        "sample_size": HIGH[0],
        "scaling_factor": recipe.scaling_factor,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


T5_RECIPE = T5Recipe()
VAE_RECIPE = VaeRecipe()

PLANS: dict[str, Plan] = {
    "images": Plan(steps=2400, batch=48, learning_rate=2.5e-3, decay=0.5),
    "keyframes": Plan(steps=1500, batch=8, learning_rate=8e-4, decay=0.6),
    "image-pairs": Plan(steps=1400, batch=48, learning_rate=1.5e-3, decay=0.5),
    "keyframe-pairs": Plan(steps=1500, batch=8, learning_rate=8e-4, decay=0.6),
    "interpolation": Plan(steps=750, batch=8, learning_rate=1.5e-3, decay=0.5),
    "first-frame": Plan(steps=2000, batch=12, learning_rate=1.5e-3, decay=0.5),
    "sr1": Plan(steps=2200, batch=2, learning_rate=1e-3, decay=0.5),
    "first-frame-edges": Plan(steps=2000, batch=12, learning_rate=1e-3, decay=0.6, shards=1),
    "sr1-edges": Plan(steps=1000, batch=8, learning_rate=1e-3, decay=0.6, seed=7, shards=1),
    "vae": Plan(steps=4000, batch=8, learning_rate=2e-3, decay=0.5, shards=1),
    "sr2": Plan(steps=4000, batch=8, learning_rate=1.5e-3, decay=0.5),
    "sr2-early": Plan(steps=1500, batch=8, learning_rate=1e-3, decay=0.6, seed=7, shards=1),
    "sr2-full": Plan(steps=4000, batch=8, learning_rate=1.5e-3, decay=0.5),
    "scorer": Plan(steps=3200, batch=64, learning_rate=2e-3, decay=0.5, shards=1),
}
