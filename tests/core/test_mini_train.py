"""The trained mini that ships: complete, small, and in the published layout."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from mini.first_edition import (
    FIRST_FRAME_UNET,
    INTERPOLATION_UNET,
    KEYFRAMES_UNET,
    LATENT_SR_UNET,
    PIXEL_SR_UNET,
    unet_config,
)
from show1_core import load_unet, read_checkpoint

MINI = Path(__file__).parents[2] / "models" / "show1-mini"
RECIPES = {
    "keyframes": KEYFRAMES_UNET,
    "interpolation": INTERPOLATION_UNET,
    "first-frame": FIRST_FRAME_UNET,
    "sr1": PIXEL_SR_UNET,
    "sr2": LATENT_SR_UNET,
}


def test_all_weights_together_are_small():
    files = sorted(MINI.rglob("*.safetensors"))
    assert len(files) == 7
    assert sum(file.stat().st_size for file in files) <= 12_000_000


def test_weights_are_half_precision():
    for file in MINI.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            names = list(weights.keys())
            assert {weights.get_slice(name).get_dtype() for name in names} == {"F16"}, file


@pytest.mark.parametrize("stage", RECIPES)
def test_every_stage_loads_as_what_it_is(stage):
    unet = load_unet(MINI / stage)
    assert unet.config.in_channels == RECIPES[stage].in_channels
    assert json.loads((MINI / stage / "unet" / "config.json").read_text()) == unet_config(RECIPES[stage])


@pytest.mark.parametrize("stage", RECIPES)
def test_every_stage_is_recognised(stage):
    assert read_checkpoint(MINI / stage).identity.stage == RECIPES[stage].stage


def test_the_card_says_how_far_each_stage_was_trained():
    told = json.loads((MINI / "training.json").read_text())
    assert set(RECIPES) | {"vae"} <= set(told)
    for stage in told.values():
        assert stage["steps"] > 0 and stage["seconds"] > 0 and "seed" in stage["plan"]
