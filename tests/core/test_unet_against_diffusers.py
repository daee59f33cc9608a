"""Configurations nobody recorded, in every spelling: against diffusers' own networks, with the same random weights."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet3DConditionModel
from recording import GOLDEN, error

from show1_core.models.config import UNetConfig
from show1_core.models.config_check import ConfigError
from show1_core.models.unet import UNet

PIXEL = json.loads((GOLDEN / "IF-II-L-v1.0" / "unet" / "config.json").read_text())
LATENT = {
    "act_fn": "silu", "attention_head_dim": [2, 4, 4], "block_out_channels": [32, 64, 64], "cross_attention_dim": 48,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], "in_channels": 4, "layers_per_block": 2,
    "mid_block_type": "UNetMidBlock2DCrossAttn", "norm_num_groups": 32, "out_channels": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"], "use_linear_projection": True,
}
VIDEO = {
    "attention_head_dim": 64, "block_out_channels": [64, 128], "cross_attention_dim": 48, "in_channels": 4, "layers_per_block": 1,
    "down_block_types": ["CrossAttnDownBlock3D", "DownBlock3D"], "norm_num_groups": 32, "out_channels": 4,
    "up_block_types": ["UpBlock3D", "CrossAttnUpBlock3D"],
}
CASES = {  # name: (config, height, width)
    "published": (PIXEL, 16, 32),
    "other channels": ({**PIXEL, "block_out_channels": [64, 32, 96, 64, 128]}, 16, 48),
    "other layers": ({**PIXEL, "layers_per_block": [2, 1, 3, 1, 2]}, 16, 16),
    "heads a level": ({**PIXEL, "attention_head_dim": [8, 8, 8, 16, 32]}, 32, 16),
    "time act silu": ({**PIXEL, "time_embedding_act_fn": "silu", "act_fn": "silu", "time_embedding_dim": None}, 16, 16),
    "plain scales": ({**PIXEL, "resnet_out_scale_factor": 1.0, "resnet_skip_time_act": False,
                      "mid_block_scale_factor": 2.0}, 16, 16),
    "fewer groups": ({**PIXEL, "norm_num_groups": 8, "norm_eps": 1e-6}, 16, 16),
    "latent": (LATENT, 16, 16),
    "latent, odd sizes": (LATENT, 9, 15),
    "latent, convolution projections": ({**LATENT, "use_linear_projection": False}, 10, 18),
    "latent, scale and shift": ({**LATENT, "resnet_time_scale_shift": "scale_shift", "norm_num_groups": 16}, 7, 5),
}
# other spellings of the same arithmetic
SPELLINGS = {
    "lists": {"only_cross_attention": [False] * 3, "transformer_layers_per_block": [1, 1, 1], "layers_per_block": [2, 2, 2],
              "cross_attention_dim": [48, 48, 48]},
    "lists reversed": {"transformer_layers_per_block": [1, 1, 1], "reverse_transformer_layers_per_block": [1, 1, 1]},
    "nulls": {"mid_block_only_cross_attention": None, "class_embeddings_concat": None, "use_linear_projection": None,
              "resnet_skip_time_act": None, "dual_cross_attention": None, "upcast_attention": None, "center_input_sample": None},
    "said though it changes nothing": {"mid_block_only_cross_attention": False, "dropout": 0.1, "attention_type": "default",
                                       "sample_size": 8, "addition_time_embed_dim": 256, "addition_embed_type_num_heads": 8},
    "whole numbers as fractions": {"mid_block_scale_factor": 1.0, "norm_eps": 1e-5, "freq_shift": 0.0},
}
# arithmetic that is not ours
FOREIGN = {
    "act_fn": "mish", "addition_embed_type": "text_time", "attention_type": "gated", "center_input_sample": True,
    "class_embed_type": "projection", "conv_in_kernel": 1, "conv_out_kernel": 5, "cross_attention_norm": "layer_norm",
    "downsample_padding": 0, "dual_cross_attention": True, "encoder_hid_dim_type": "image_proj", "flip_sin_to_cos": False,
    "freq_shift": 1, "mid_block_only_cross_attention": True, "num_attention_heads": 8, "num_class_embeds": 10,
    "only_cross_attention": [True, False, False], "resnet_time_scale_shift": "other", "norm_num_groups": None,
    "reverse_transformer_layers_per_block": [1, 2, 1], "time_cond_proj_dim": 8, "time_embedding_type": "fourier",
    "timestep_post_act": "silu", "transformer_layers_per_block": [1, 2, 1], "cross_attention_dim": [48, 48, 96],
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_equals_diffusers(name):
    config, height, width = CASES[name]
    torch.manual_seed(len(name))
    compare(UNet2DConditionModel.from_config(config), config, (2, config["in_channels"], height, width))


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_the_same_network(name):
    spelled = {**LATENT, **SPELLINGS[name]}
    compare(UNet2DConditionModel.from_config(spelled), spelled, (1, 4, 9, 6))
    same = {**LATENT, "use_linear_projection": bool(spelled["use_linear_projection"])}
    assert UNetConfig.from_dict(spelled) == UNetConfig.from_dict(same)


@pytest.mark.parametrize("config", [PIXEL, LATENT], ids=["pixel", "latent"])
def test_what_diffusers_registers_is_accepted(config):
    theirs = UNet2DConditionModel.from_config(config)
    compare(theirs, dict(theirs.config), (1, config["in_channels"], 16, 16))


def test_diffusers_own_video_network_is_accepted():
    theirs = UNet3DConditionModel.from_config(VIDEO)
    compare(theirs, {**theirs.config, "_class_name": "UNet3DConditionModel"}, (2, 4, 3, 8, 6))
    with pytest.raises(ConfigError, match="attention_head_dim is 32; expected 64"):
        UNetConfig.from_dict({**VIDEO, "_class_name": "UNet3DConditionModel", "attention_head_dim": 32})


@pytest.mark.parametrize("key", FOREIGN)
def test_other_arithmetic_is_refused_by_name(key):
    with pytest.raises(ConfigError, match=f"config key {key} is .*; expected") as refused:
        UNetConfig.from_dict({**LATENT, key: FOREIGN[key]})
    assert "\n" not in str(refused.value)


def test_a_key_of_precision_alone_is_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        assert UNetConfig.from_dict({**LATENT, "upcast_attention": True}) == UNetConfig.from_dict(LATENT)
    said, = caplog.messages
    assert said.startswith("Show-1: config key upcast_attention is True, which changes precision alone")


def compare(theirs, config, shape):
    """Our network of a config gives what diffusers' gives, with the same weights."""
    theirs, ours = theirs.eval().double(), UNet(UNetConfig.from_dict(config)).eval().double()
    ours.load_state_dict(theirs.state_dict())
    rows, text_dim = shape[0], config.get("encoder_hid_dim") or LATENT["cross_attention_dim"]
    x, text = torch.randn(shape).double(), torch.randn(rows, 11, text_dim).double()
    timestep, level = torch.tensor([731, 2][:rows]), torch.tensor([250, 40][:rows]) if config.get("class_embed_type") else None
    expected = theirs(x, timestep, text, **{} if level is None else {"class_labels": level}).sample
    assert error(ours(x, timestep, text, level), expected) <= 1e-6  # the sinusoids stay float32
