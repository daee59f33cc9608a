"""The nodes in a real ComfyUI: registered, running, cancelled, refusing."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, Outcome, alone, failure_of
from terminal import Failure
from workflows.events import NODE_TEXT, Event, failure

Json = dict[str, Any]

HOST = {"nodes", "comfy_extras"}  # the modules of its own nodes
# The contract: node id, required and optional inputs, outputs.
CONTRACT = {
    "Show1ModelLoader": ("model dtype kernels", "", "MODEL"),
    "Show1TextEncoderLoader": ("text_encoder", "", "CLIP"),
    "Show1VAELoader": ("vae", "", "VAE"),
    "Show1T5Encode": ("clip prompt negative_prompt clean_caption", "", "CONDITIONING CONDITIONING"),
    "Show1KeyframeSampler": (
        "model positive negative seed steps cfg frames width height sampler_name scheduler",
        "images denoise",
        "IMAGE FLOAT",
    ),
    "Show1Interpolator": (
        "model positive negative images seed steps cfg sampler_name scheduler",
        "fps",
        "IMAGE FLOAT",
    ),
    "Show1FirstFrameSR": (
        "model positive negative image seed steps cfg noise_level sampler_name scheduler",
        "",
        "IMAGE",
    ),
    "Show1PixelSR": (
        "model positive negative images seed steps cfg noise_level sampler_name scheduler",
        "first_frame",
        "IMAGE",
    ),
    "Show1LatentSR": (
        "model vae positive negative images seed steps cfg denoise width height sampler_name scheduler",
        "",
        "IMAGE LATENT",
    ),
}


@pytest.fixture(scope="session")
def known(server: Any) -> Json:
    """What the server says about every node type."""
    return Driver(server.url).object_info()


@pytest.mark.parametrize("node_id", CONTRACT)
def test_node_is_registered_as_the_contract_says(known: Json, node_id: str) -> None:
    required, optional, outputs = CONTRACT[node_id]
    node = known[node_id]
    assert begins(node["input"]["required"], required)
    assert begins(node["input"].get("optional", {}), optional)
    assert begins(node["output"], outputs)
    assert node["category"].split("/")[0] == "Show-1"


def test_the_page_of_nodes_on_a_model_leaves_none_out(known: Json) -> None:
    """docs/host-features.md: what takes a MODEL and gives one, or a GUIDER, has a row or a sentence, also in a newer host."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "host-features.md").read_text(encoding="utf-8")
    on_models = {name.replace(" ", "") for name, node in known.items() if changes_models(node)}
    assert len(on_models) > 50
    assert on_models - set(re.findall(r"`(\w+)`", page)) == set()


def changes_models(node: Json) -> bool:
    """Whether a node of the host takes a MODEL and gives one, or a GUIDER."""
    inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    takes = any(kind[0] == "MODEL" for kind in inputs.values())
    return takes and not {"MODEL", "GUIDER"}.isdisjoint(node["output"]) and node["python_module"].split(".")[0] in HOST


def test_another_seed_reruns_only_what_depends_on_it(driver: Driver, keyframes: Json) -> None:
    assert_success(driver.run(keyframes))
    keyframes["5"]["inputs"]["seed"] = 346
    again = driver.run(keyframes)
    assert_success(again)
    assert again.nodes_run() == {"5", "save"}


def test_what_does_nothing_is_said_on_the_node_that_samples(driver: Driver, keyframes: Json) -> None:
    keyframes["patch"] = {"class_type": "TomePatchModel", "inputs": {"model": keyframes["5"]["inputs"]["model"], "ratio": 0.3}}
    plain, keyframes["5"]["inputs"]["model"] = keyframes["5"]["inputs"]["model"], ["patch", 0]
    (said,) = texts(driver.run(keyframes))
    assert said["node"] == "5" and "TomePatchModel" in said["text"]
    keyframes["5"]["inputs"] |= {"model": plain, "seed": 347}
    (said,) = texts(driver.run(keyframes))
    assert said["node"] == "5" and "nothing to warn of" in said["text"]
    keyframes["5"]["inputs"]["seed"] = 348
    assert not texts(driver.run(keyframes))


def texts(outcome: Outcome) -> list[Json]:
    """What was written on nodes in a run that came to its end."""
    assert_success(outcome)
    return [event.data for event in outcome.events if event.type == NODE_TEXT]


@pytest.mark.parametrize("stage", ["5", "7", "9", "11", "17"])
def test_cancel_stops_every_stage_within_a_second_and_the_next_prompt_runs(
    driver: Driver, cascade: Json, stage: str
) -> None:
    prompt = alone(cascade, stage)
    prompt[stage]["inputs"]["steps"] = 500

    def has_stepped(event: Event) -> bool:
        node = event.data["nodes"].get(stage, {}) if event.type == "progress_state" else {}
        return node.get("state") == "running" and node.get("value", 0) >= 2

    outcome = driver.run(prompt, has_stepped)
    assert outcome.end.type == "execution_interrupted"
    assert outcome.end.data["node_id"] == stage
    assert outcome.interrupted_after < 1.0
    prompt[stage]["inputs"]["steps"] = 2
    assert_success(driver.run(prompt))


@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        ("5", "show-1-sr1"),
        ("7", "show-1-base"),
        ("9", "show-1-sr1"),
        ("11", "IF-II-L-v1.0"),
        ("17", "show-1-base"),
    ],
)
def test_a_model_of_another_stage_is_refused_in_one_sentence(
    driver: Driver, cascade: Json, stage: str, wrong: str
) -> None:
    prompt = alone(cascade, stage)
    loader = prompt[prompt[stage]["inputs"]["model"][0]]
    right, loader["inputs"]["model"] = loader["inputs"]["model"], wrong
    outcome = driver.run(prompt)
    assert outcome.end.type == "execution_error"
    assert outcome.end.data["node_id"] == stage
    assert_one_sentence(failure(outcome.end))
    assert outcome.steps(stage)[-1][0] == 0, "it was refused only after sampling had begun"
    loader["inputs"]["model"] = right
    prompt[stage]["inputs"]["steps"] = 2
    assert_success(driver.run(prompt))


@pytest.mark.parametrize(
    ("node_id", "name", "value"),
    [
        ("4", "model", "not-there.safetensors"),
        ("2", "text_encoder", "not-there/text_encoder"),
        ("15", "vae", "not-there/vae"),
        ("5", "sampler_name", "no_such_sampler"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_by_name(
    driver: Driver, cascade: Json, node_id: str, name: str, value: str
) -> None:
    prompt = copy.deepcopy(cascade)
    prompt[node_id]["inputs"][name] = value
    with pytest.raises(Failure) as refused:
        driver.run(prompt)
    assert value in str(refused.value)
    assert f"node {node_id}" in str(refused.value)


@pytest.mark.parametrize(("node_id", "name", "value"), [
    ("4", "dtype", "int3"), ("4", "kernels", "fastest"), ("5", "scheduler", "no_such_scheduler")])
def test_another_choice_that_does_not_exist_is_refused_before_its_node_works(
    driver: Driver, keyframes: Json, node_id: str, name: str, value: str
) -> None:
    """The host reports a check once for each input it names, so that only one input of a node is checked before the run."""
    keyframes[node_id]["inputs"][name] = value
    outcome = driver.run(keyframes)
    assert outcome.end.type == "execution_error" and outcome.end.data["node_id"] == node_id
    assert value in failure(outcome.end) and outcome.steps(node_id)[-1][0] == 0
    assert_one_sentence(failure(outcome.end).split("expected")[0].strip() + " expected.")


@pytest.mark.parametrize(("node_id", "name"), [("4", "model"), ("2", "text_encoder"), ("15", "vae")])
def test_a_missing_file_is_refused_with_the_folder_to_put_it_in(
    driver: Driver, cascade: Json, node_id: str, name: str
) -> None:
    prompt = copy.deepcopy(cascade)
    prompt[node_id]["inputs"][name] = "not-there"
    with pytest.raises(Failure, match="show1"):
        driver.run(prompt)


def begins(names: Iterable[str], contract: str) -> bool:
    """Whether names are those of the contract, in its order; what came later is appended."""
    fixed = contract.split()
    return list(names)[: len(fixed)] == fixed


def assert_success(outcome: Outcome) -> None:
    assert outcome.end.type == "execution_success", failure_of(outcome)


def assert_one_sentence(text: str) -> None:
    assert "\n" not in text and text.endswith(".") and 20 < len(text) < 500, text
