"""The trained mini that ships: complete, small, and in the published layout."""

import json
from dataclasses import asdict
from inspect import isfunction
from pathlib import Path

import pytest
from safetensors import safe_open

from mini.export import UNETS as RECIPES
from mini.lessons import LEARNERS, lesson
from mini.recipes import PLANS, unet_config
from mini.settings import recipe
from mini.train import FOLDERS, TASKS
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
        assert run["lesson"] == json.loads(json.dumps(lesson(stage)))


def names_in(made):
    """What a function names, itself or in the functions it was made with."""
    inside = [cell.cell_contents for cell in made.__closure__ or ()]
    further = [names_in(one) if isfunction(one) else {getattr(one, "__name__", "")} for one in inside]
    return {*made.__code__.co_names}.union(*further)


@pytest.mark.parametrize("stage", TASKS)
def test_a_lesson_is_of_the_class_that_the_stage_trains(stage):
    assert LEARNERS[stage].__name__ in names_in(TASKS[stage])


@pytest.mark.parametrize("stage, expected", [
    ("keyframes", {"floor": 0.0005, "late": 0.5, "pairs": 0.25, "text_dropped": 0.1}),
    ("keyframe-pairs", {"floor": 0.0005, "late": 0.5, "pairs": 0.65, "text_dropped": 0.1, "binding_weight": 0.02}),
    ("interpolation", {"floor": 0.01, "late": 0.3, "pairs": 0.25, "text_dropped": 0.1}),
    ("sr1", {"floor": 0.1, "pairs": 0.25, "text_dropped": 0.1, "crop": (32, 48), "noise_levels": 100, "first_dropped": 0.3,
             "frames": 8}),
    ("sr1-edges", {"floor": 0.1, "pairs": 0.25, "text_dropped": 0.1, "crop": (32, 48), "noise_levels": 100, "first_dropped": 0.3,
                   "frames": 8, "tries": 3, "last": 650})])
def test_a_lesson_has_what_the_classes_use(stage, expected):
    assert lesson(stage) == expected


def test_the_library_samples_it_as_it_was_judged():
    assert Recipe.from_dict(json.loads((MINI / "recipe.json").read_text())) == recipe()
