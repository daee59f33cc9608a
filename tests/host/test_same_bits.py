"""The same seed gives the same bits at every stage: in another process, and behind another prompt in the queue."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import pytest
from driver import Driver, Outcome, failure_of
from hosting.hosts import MODELS, Host
from hosting.server import Launch, Server
from safetensors.numpy import load

pytestmark = pytest.mark.slow  # a second host is started, which has to load every model again
Json = dict[str, Any]
Frames = Mapping[str, numpy.ndarray]
SAMPLERS = ("5", "7", "9", "11", "17")


@pytest.fixture(scope="module")
def another(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A second server, which has run nothing yet."""
    with Server(host, Launch(models=(MODELS,), output=tmp_path_factory.mktemp("another"))) as server:
        yield Driver(server.url)


@pytest.fixture(scope="module")
def runs(server: Server, another: Driver, cascade: Json) -> dict[str, tuple[Frames, Frames]]:
    """(the first server's frames, the other's) of two prompts; the other server has both in its queue at once."""
    driver = Driver(server.url)
    prompts = {"first": short(cascade, seed=2024, words="A burning lamborghini driving on rainbow."),
               "second": short(cascade, seed=7, words="a panda taking a selfie")}
    here = {name: frames(driver, driver.run(prompt)) for name, prompt in prompts.items()}
    queued = another.run_queued(list(prompts.values()))
    return {name: (here[name], frames(another, outcome)) for name, outcome in zip(prompts, queued, strict=True)}


@pytest.mark.parametrize("stage", SAMPLERS)
@pytest.mark.parametrize("prompt", ["first", "second"])
def test_every_stage_in_another_process(runs: dict[str, tuple[Frames, Frames]], prompt: str, stage: str) -> None:
    here, there = (run[stage] for run in runs[prompt])
    assert here.dtype == numpy.float32 and numpy.array_equal(here, there)


@pytest.mark.parametrize("stage", SAMPLERS)
def test_what_is_compared_is_a_picture(runs: dict[str, tuple[Frames, Frames]], stage: str) -> None:
    """Equal plain colours, or values cut to 8 bits, would show nothing."""
    first, second = (runs[prompt][0][stage] for prompt in ("first", "second"))
    assert len(numpy.unique(first)) > 0.2 * first.size
    assert not numpy.array_equal(first, second)


def short(cascade: Json, seed: int, words: str) -> Json:
    """The cascade in two steps a stage, every stage's frames saved as float32: as latents of the VAE that changes nothing."""
    prompt = {node_id: copy.deepcopy(node) for node_id, node in cascade.items() if node_id not in ("18", "19", "save")}
    prompt["1"]["inputs"]["value"] = words
    prompt["pixels"] = {"class_type": "VAELoader", "inputs": {"vae_name": "pixel_space"}}
    for stage in SAMPLERS:
        prompt[stage]["inputs"] |= {"steps": 2, "seed": seed}
        encoded = f"frames of {stage}"
        prompt[encoded] = {"class_type": "VAEEncode", "inputs": {"pixels": [stage, 0], "vae": ["pixels", 0]}}
        prompt[f"save {stage}"] = {"class_type": "SaveLatent",
                                   "inputs": {"samples": [encoded, 0], "filename_prefix": f"stage-{stage}"}}
    return prompt


def frames(driver: Driver, outcome: Outcome) -> dict[str, numpy.ndarray]:
    """What a prompt saved, by stage."""
    assert outcome.end.type == "execution_success", failure_of(outcome)
    found = {file.name.split("-")[1].split("_")[0]: load(driver.fetch(file))["latent_tensor"] for file in outcome.files}
    assert set(found) == set(SAMPLERS)
    return found
