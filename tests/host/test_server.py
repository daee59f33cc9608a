"""The nodes in a real ComfyUI: registered, running, cancelled, refusing."""

from __future__ import annotations

import io
from typing import Any

import av
import pytest
from driver import Driver, Outcome
from events import Event, failure
from terminal import Failure

Json = dict[str, Any]

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
    assert list(node["input"]["required"]) == required.split()
    assert list(node["input"].get("optional", {})) == optional.split()
    assert node["output"] == outputs.split()
    assert node["category"].split("/")[0] == "Show-1"


def test_cascade_makes_a_video_with_progress_and_is_cached_the_second_time(
    driver: Driver, workflow: Json
) -> None:
    first = driver.run(workflow)
    assert_success(first)
    for sampler in ("5", "9"):
        assert first.steps(sampler)[-1] == (20, 20)
        assert len(first.steps(sampler)) >= 20
    video = next(file for file in first.files if file.suffix == ".mp4")
    with av.open(io.BytesIO(driver.fetch(video))) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (len(frames), frames[0].width, frames[0].height) == (29, 128, 64)
        assert stream.average_rate == 8
    again = driver.run(workflow)
    assert_success(again)
    assert again.nodes_run() == set()


def test_another_seed_reruns_only_what_depends_on_it(driver: Driver, keyframes: Json) -> None:
    assert_success(driver.run(keyframes))
    keyframes["5"]["inputs"]["seed"] = 346
    again = driver.run(keyframes)
    assert_success(again)
    assert again.nodes_run() == {"5", "save"}


@pytest.mark.parametrize("stage", ["5", "7", "9", "11", "17"])
def test_cancel_stops_every_stage_within_a_second(driver: Driver, workflow: Json, stage: str) -> None:
    workflow[stage]["inputs"]["steps"] = 500 if stage != "9" else 900

    def has_stepped(event: Event) -> bool:
        node = event.data.get("nodes", {}).get(stage, {}) if event.type == "progress_state" else {}
        return node.get("state") == "running" and node.get("value", 0) >= 2

    outcome = driver.run(workflow, has_stepped)
    assert outcome.end.type == "execution_interrupted"
    assert outcome.end.data["node_id"] == stage
    assert outcome.interrupted_after < 1.0


def test_the_next_prompt_runs_after_a_cancel(driver: Driver, keyframes: Json) -> None:
    keyframes["5"]["inputs"].update(steps=500, seed=1)
    cancelled = driver.run(keyframes, lambda event: event.type == "progress")
    assert cancelled.end.type == "execution_interrupted"
    keyframes["5"]["inputs"].update(steps=3)
    assert_success(driver.run(keyframes))


@pytest.mark.parametrize(
    ("sampler", "loader", "wrong"),
    [
        ("5", "4", "show-1-sr1"),
        ("7", "6", "show-1-base"),
        ("9", "8", "show-1-sr1"),
        ("11", "10", "IF-II-L-v1.0"),
        ("17", "16", "show-1-base"),
    ],
)
def test_a_model_of_another_stage_is_refused_in_one_sentence(
    driver: Driver, workflow: Json, keyframes: Json, sampler: str, loader: str, wrong: str
) -> None:
    workflow[loader]["inputs"]["model"] = wrong
    outcome = driver.run(workflow)
    assert outcome.end.type == "execution_error"
    assert outcome.end.data["node_id"] == sampler
    assert_one_sentence(failure(outcome.end))
    assert outcome.steps(sampler)[-1][0] == 0, "it was refused only after sampling had begun"
    assert_success(driver.run(keyframes))


@pytest.mark.parametrize(
    ("node_id", "name", "value"),
    [
        ("4", "model", "not-there.safetensors"),
        ("2", "text_encoder", "not-there/text_encoder"),
        ("15", "vae", "not-there/vae"),
        ("4", "dtype", "int3"),
        ("4", "kernels", "fastest"),
        ("5", "sampler_name", "no_such_sampler"),
        ("5", "scheduler", "no_such_scheduler"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_by_name(
    driver: Driver, workflow: Json, node_id: str, name: str, value: str
) -> None:
    workflow[node_id]["inputs"][name] = value
    with pytest.raises(Failure) as refused:
        driver.run(workflow)
    assert value in str(refused.value)
    assert f"node {node_id}" in str(refused.value)


@pytest.mark.parametrize(("node_id", "name"), [("4", "model"), ("2", "text_encoder"), ("15", "vae")])
def test_a_missing_file_is_refused_with_the_folder_to_put_it_in(
    driver: Driver, workflow: Json, node_id: str, name: str
) -> None:
    workflow[node_id]["inputs"][name] = "not-there"
    with pytest.raises(Failure, match="show1"):
        driver.run(workflow)


def assert_success(outcome: Outcome) -> None:
    end = outcome.end
    assert end.type == "execution_success", failure(end) if end.type == "execution_error" else end.type


def assert_one_sentence(text: str) -> None:
    assert "\n" not in text and text.endswith(".") and 20 < len(text) < 500, text
