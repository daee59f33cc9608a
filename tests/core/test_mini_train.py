"""The trained mini that ships: complete, small, and in the published layout."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from safetensors import safe_open

from mini.export import UNETS as RECIPES
from mini.recipes import PLANS, unet_config
from mini.settings import recipe
from mini.train import FOLDERS
from show1_core import Recipe, load_unet, read_checkpoint

MINI = Path(__file__).parents[2] / "models" / "show1-mini"


def test_all_weights_together_are_small():
    files = sorted(MINI.rglob("*.safetensors"))
    assert len(files) == 8
    assert sum(file.stat().st_size for file in files) <= 24_000_000


def test_weights_are_half_precision():
    for file in MINI.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            names = list(weights.keys())
            assert {weights.get_slice(name).get_dtype() for name in names} == {"F16"}, file


@pytest.mark.parametrize("stage", RECIPES)
def test_every_stage_loads_as_what_it_is(stage):
    unet = load_unet(MINI / FOLDERS[stage])
    assert unet.config.in_channels == RECIPES[stage].in_channels
    assert json.loads((MINI / FOLDERS[stage] / "unet" / "config.json").read_text()) == unet_config(RECIPES[stage])


@pytest.mark.parametrize("stage", RECIPES)
def test_every_stage_is_recognised(stage):
    assert read_checkpoint(MINI / FOLDERS[stage]).identity.stage == RECIPES[stage].stage


def test_the_card_says_how_far_each_stage_was_trained():
    told = json.loads((MINI / "training.json").read_text())
    assert set(RECIPES) | {"vae", "scorer"} <= set(told)
    for stage, run in told.items():
        assert run["seconds"] > 0 and run["plan"] == asdict(PLANS[stage]) and run["steps"] == PLANS[stage].steps


def test_the_library_samples_it_as_it_was_judged():
    assert Recipe.from_dict(json.loads((MINI / "recipe.json").read_text())) == recipe()
