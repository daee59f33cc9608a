"""Configurations nobody recorded: the image networks against diffusers' own, with the same random weights."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from recording import GOLDEN, error

from show1_core.models.config import UNetConfig
from show1_core.models.unet import UNet

PIXEL = json.loads((GOLDEN / "IF-II-L-v1.0" / "unet" / "config.json").read_text())
LATENT = {
    "act_fn": "silu", "attention_head_dim": [2, 4, 4], "block_out_channels": [32, 64, 64], "cross_attention_dim": 48,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], "in_channels": 4, "layers_per_block": 2,
    "mid_block_type": "UNetMidBlock2DCrossAttn", "norm_num_groups": 32, "out_channels": 4,
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"], "use_linear_projection": True,
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


@pytest.mark.parametrize("name", CASES)
def test_a_call_equals_diffusers(name):
    config, height, width = CASES[name]
    torch.manual_seed(len(name))
    theirs = UNet2DConditionModel.from_config(config).eval().double()
    ours = UNet(UNetConfig.from_dict(config)).eval().double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, config["in_channels"], height, width).double()
    text = torch.randn(2, 11, config.get("encoder_hid_dim") or config["cross_attention_dim"]).double()
    timestep, level = torch.tensor([731, 2]), torch.tensor([250, 40]) if config.get("class_embed_type") else None
    expected = theirs(x, timestep, text, class_labels=level).sample
    assert error(ours(x, timestep, text, level), expected) <= 1e-6  # the sinusoids stay float32
