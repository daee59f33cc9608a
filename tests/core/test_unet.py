"""The UNets against the published tensor lists and the recorded calls."""

from __future__ import annotations

import json

import pytest
import torch
from recording import GOLDEN, PUBLISHED, error

from show1_core import load_unet
from show1_core.models.config import UNetConfig
from show1_core.models.config_check import ConfigError
from show1_core.models.unet import UNet

PARAMETERS = {
    "show-1-base": 1_726_848_390,
    "show-1-interpolation": 1_726_859_910,
    "show-1-sr1": 796_343_046,
    "show-1-sr2": 1_411_233_860,
    "IF-II-L-v1.0": 1_243_277_190,
}


def config(folder):
    return json.loads((folder / "unet" / "config.json").read_text())


@pytest.mark.parametrize("source", [PUBLISHED, GOLDEN], ids=["published", "miniature"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_names_and_shapes_are_the_published_ones(source, name):
    unet = UNet(UNetConfig.from_dict(config(source / name)), device="meta")
    listed = dict(line.split("\t") for line in (source / name / "unet" / "tensors.tsv").read_text().splitlines())
    assert {key: "x".join(map(str, tensor.shape)) for key, tensor in unet.state_dict().items()} == listed
    if source is PUBLISHED:
        assert sum(parameter.numel() for parameter in unet.parameters()) == PARAMETERS[name]


def test_a_call_equals_the_recording(recorded):
    unet, inputs, expected = recorded
    assert error(unet(*inputs), expected) <= 1e-5


def test_the_image_model_takes_each_frame_of_a_clip_on_its_own(models, golden, texts):
    unet, x = load_unet(models / "IF-II-L-v1.0"), golden["forward.if2.x"]
    clip = torch.stack([x, x.flip(-1)], dim=2)
    out = unet(clip, golden["forward.if2.t"], texts["t5"], golden["forward.if2.noise_level"])
    assert error(out[:, :, 0], golden["forward.if2.out"]) <= 1e-5


def test_every_layer_with_weights_comes_from_operations():
    made = []

    class Operations:
        """Torch's layers, each remembered as it is made."""

        def __getattr__(self, name):
            def make(*args, **kwargs):
                made.append(getattr(torch.nn, name)(*args, **kwargs))
                return made[-1]
            return make

    unet = UNet(UNetConfig.from_dict(config(GOLDEN / "show-1-sr1")), operations=Operations())
    own = [name for name, module in unet.named_modules()
           if list(module.parameters(recurse=False)) and not any(module is layer for layer in made)]
    assert own == ["add_embedding.pool"]  # its one loose parameter, cast where it is used


@pytest.mark.parametrize("change, sentence", [
    ({"down_block_types": ["AttnDownBlock3D"] + ["DownBlock3D"] * 3}, "AttnDownBlock3D"),
    ({"act_fn": "mish"}, "act_fn is 'mish'"),
    ({"attention_head_dim": [16, 16]}, "attention_head_dim"),
    ({"in_channels": None}, "lacks in_channels"),
    ({"up_block_types": ["UpBlock3D"]}, "up_block_types is .*; expected 4 names"),
    ({"resnet_time_scale_shift": "spatial"}, "resnet_time_scale_shift"),
])
def test_a_config_of_another_network_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        UNetConfig.from_dict({**config(GOLDEN / "show-1-base"), **change})


@pytest.mark.parametrize("shape, text, noise_level, sentence", [
    ((2, 7, 8, 8, 16), (2, 77, 64), None, "C = 3"),
    ((2, 3, 8, 16), (2, 77, 64), None, r"\(B, C, F, H, W\)"),
    ((2, 3, 8, 12, 16), (2, 77, 64), None, "multiples of 8"),
    ((2, 3, 8, 8, 16), (1, 77, 64), None, r"takes \(2, tokens, 64\)"),
    ((2, 3, 8, 8, 16), (2, 77, 32), None, r"takes \(2, tokens, 64\)"),
    ((2, 3, 8, 8, 16), (2, 77, 64), 5, "no noise level input"),
])
def test_a_call_it_cannot_take_is_refused_in_a_sentence(shape, text, noise_level, sentence, models):
    unet = load_unet(models / "show-1-base")
    level = None if noise_level is None else torch.tensor(noise_level)
    with pytest.raises(ValueError, match=sentence):
        unet(torch.zeros(shape), torch.tensor(5), torch.zeros(text), level)
