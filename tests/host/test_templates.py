"""The templates: written by their generator, accepted and run by a real ComfyUI."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import av
import numpy
import pytest
import templates
import torch
from driver import Driver, failure_of
from hosting.hosts import BASE, MODELS, PACK_FOLDER, REPO, Host
from hosting.server import Server
from PIL import Image
from safetensors.torch import save_file
from templating.ranked import CLIP
from templating.steered import WAN
from templating.twins import USERS_OWN
from tiny_clip import write_clip
from workflows import workflow

from show1_core.stages import STAGES

Json = dict[str, Any]
PICTURE = "test-of-templates.png"
FILES = {file.stem: file for file in sorted((REPO / "example_workflows").glob("*.json"))}
BLUEPRINTS = {file.stem: file for file in sorted((REPO / "subgraphs").glob("*.json"))}
OFFICIAL: dict[str, Json] = {
    "Load show-1-base": {"model": "show-1-base", "dtype": "auto", "kernels": "auto"},
    "Load show-1-interpolation": {"model": "show-1-interpolation", "dtype": "auto", "kernels": "auto"},
    "Load IF-II-L-v1.0": {"model": "IF-II-L-v1.0", "dtype": "auto", "kernels": "auto"},
    "Load show-1-sr1": {"model": "show-1-sr1", "dtype": "auto", "kernels": "auto"},
    "Load show-1-sr2": {"model": "show-1-sr2", "dtype": "auto", "kernels": "auto"},
    "Load T5": {"text_encoder": "show-1-base/text_encoder"},
    "Load CLIP": {"text_encoder": "show-1-sr2/text_encoder"},
    "Load VAE": {"vae": "show-1-sr2/vae"},
    "Encode the prompt": {"negative_prompt": "", "clean_caption": False},
    "Negative for the last stage": {"text": "low resolution, blur"},
    "Keyframes": {"steps": 75, "cfg": 9, "frames": 8, "width": 64, "height": 40},
    "Interpolation": {"steps": 75, "cfg": 4},
    "First frame": {"steps": 70, "cfg": 4, "noise_level": 150},
    "Upscale": {"steps": 125, "cfg": 7, "noise_level": 250},
    "Refine": {"steps": 50, "cfg": 15, "denoise": 0.8, "width": 576, "height": 320},
}
SAMPLING = {"seed": 345, "sampler_name": "published", "scheduler": "published"}
CASCADE = ["*.steps=2", "Keyframes.frames=3", "Keyframes.width=16", "Keyframes.height=8", "Refine.width=64", "Refine.height=64"]
GIVEN = ["*.steps=2", "Given frames.frames=3", "Given frames.width=16", "Given frames.height=8", "Refine.width=64",
         "Refine.height=64"]
WINDOWS = ["Eight keyframes at once.context_length=3", "Eight keyframes at once.context_overlap=1",
           "29 frames at once.context_length=9", "29 frames at once.context_overlap=2"]
# What makes a run with the miniature models short.
SHORT: dict[str, list[str]] = {
    "Make any video smoother": ["*.steps=2", "Frames.length=3", "Resize.width=16", "Resize.height=8"],
    "Make any video larger": ["*.steps=2", "Frames.length=3", "Refine.width=64", "Refine.height=64"],
    "Longer video": [*CASCADE, "Keyframes.frames=5", *WINDOWS],
    "Animate a picture": [*GIVEN, "Given frames.frames=5", *WINDOWS],
    "From this frame to that": GIVEN,
    "Seamless loop": [*GIVEN, "A first take.frames=2", "A first take.width=16", "A first take.height=8",
                      "The last is the first.length=8"],
    "Prompts over time": [*CASCADE, "Prompt.value=0: a red ball | 1: a blue ball"],
    "Draft here, finish anywhere": ["*.steps=2", "Drafts.count=2", "Drafts.width=16", "Drafts.height=8"],
    "Show-1 drafts, pick, then upscale": ["*.steps=2", "Drafts.count=2", "Drafts.width=16", "Drafts.height=8"],
    "Draw 16, keep the best": ["*.steps=2", "Drafts.count=2", "Drafts.frames=3", "Drafts.width=16", "Drafts.height=8",
                               "Refine.width=64", "Refine.height=64"],
    "Draw 16, keep the best, mini (CPU)": ["*.steps=4", "Refine.denoise=0.3", "Drafts.count=2", "Drafts.frames=3",
                                           "Refine.width=64", "Refine.height=64"],
    "Show-1 keyframes through core samplers": ["*.steps=2", "*.width=16", "*.height=8"],
    "Show-1 keyframes only": ["*.steps=2", "Keyframes.width=16", "Keyframes.height=8"],
    "Learn a motion from a clip": ["*.steps=2", "Frames.length=3"],
    "Learn a style": ["*.steps=2", "Frames.length=3", "Keyframes.width=16", "Keyframes.height=8"],
    "Same motion, other subject": ["*.steps=2", "Keyframes.width=16", "Keyframes.height=8"],
    "Learn a motion from a clip, mini (CPU)": ["*.steps=2"],
    "Learn a style, mini (CPU)": ["*.steps=2"],
    "Same motion, other subject, mini (CPU)": ["*.steps=2"],
    "Show-1 text to video": CASCADE,
    "Show-1 text to video, few steps": CASCADE,
}


SHORT_KEYFRAMES = ["*.steps=2", "Keyframes.frames=2", "Keyframes.width=16", "Keyframes.height=8", "Refine.width=64",
                   "Refine.height=64"]
SHORT_BLUEPRINT = {
    "Text to Video (Show-1)": SHORT_KEYFRAMES,
    "Text to Video (Show-1 mini)": ["*.steps=4", "Refine.denoise=0.3", *SHORT_KEYFRAMES[1:]],
    "Smooth Video x4 (Show-1)": ["*.steps=2", "Frames.length=3", "Resize.width=16", "Resize.height=8"],
    "Upscale Video x4 (Show-1)": ["*.steps=2", "Frames.length=2"],
}


@pytest.fixture(scope="module")
def own_clip(host: Host) -> Iterator[None]:
    """A CLIP under the name that the templates know it by."""
    folder = MODELS / "clip_vision" / CLIP
    write_clip(folder)
    yield
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def object_info(server: Server, own_clip: None) -> Json:
    return Driver(server.url).object_info()


@pytest.fixture(scope="module")
def own_video(host: Host) -> Iterator[str]:
    """A short video among the user's inputs, and beside it a picture and what stands for another model's files."""
    file = BASE / "input" / "test-of-templates.mp4"
    others = [MODELS / kind / name for kind, name in zip(("diffusion_models", "text_encoders", "vae"), WAN.values(), strict=True)]
    for other in others:
        other.parent.mkdir(parents=True, exist_ok=True)
        other.touch()
    Image.new("RGB", (90, 60), "red").save(BASE / "input" / PICTURE)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(6):
            picture = numpy.full((48, 64, 3), 40 * level, numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    yield file.name
    for made in (file, BASE / "input" / PICTURE, *others):
        made.unlink()


@pytest.fixture(scope="module")
def own_lora(server: Server) -> Iterator[str]:
    """A LoRA of nothing among those that the user has saved."""
    assert server.launch.output is not None
    file = server.launch.output / "loras" / "test-of-templates.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({"diffusion_model.conv_in.diff": torch.zeros(32, 3, 3, 3)}, file)
    yield file.name
    file.unlink()


def read(title: str) -> Json:
    return json.loads(FILES[title].read_text(encoding="utf-8"))


def prompt_of(graph: Json, object_info: Json, own_video: str, own_lora: str) -> Json:
    """What the server is given: video, picture and LoRA of the test stand for the user's."""
    prompt = workflow.to_api(graph, object_info)
    own = {"LoadVideo": own_video, "LoadImage": PICTURE, "CreateHookLora": own_lora}
    for node in prompt.values():
        if (kind := node["class_type"]) in own:
            node["inputs"][USERS_OWN[kind]] = own[kind]
    return prompt


def test_the_files_are_what_the_generator_writes(object_info: Json) -> None:
    written = templates.files(object_info)
    assert sorted([*FILES.values(), *BLUEPRINTS.values()]) == sorted(written)
    for file, text in written.items():
        assert file.read_text(encoding="utf-8") == text, f"{file.name}: run scripts/templates.py"


def test_the_server_offers_them(server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}/workflow_templates") as answer:
        offered = json.load(answer)
    assert sorted(offered[PACK_FOLDER]) == sorted(FILES)


def test_the_server_lists_the_blueprints(server: Server) -> None:
    def get(path: str) -> Json:
        with urllib.request.urlopen(f"{server.url}/global_subgraphs{path}") as answer:
            return json.load(answer)

    listed = {entry["name"]: key for key, entry in get("").items() if entry["info"]["node_pack"].endswith(PACK_FOLDER)}
    assert sorted(listed) == sorted(BLUEPRINTS)
    for name, key in listed.items():
        assert json.loads(get(f"/{key}")["data"]) == json.loads(BLUEPRINTS[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_one_node_and_says_what_finds_it(name: str) -> None:
    blueprint = json.loads(BLUEPRINTS[name].read_text(encoding="utf-8"))
    (inside,), (node,) = blueprint["definitions"]["subgraphs"], blueprint["nodes"]
    assert node["type"] == inside["id"] and node["title"] == inside["name"] == name
    assert blueprint["extra"]["BlueprintDescription"] and {"show-1", "show1"} <= set(blueprint["extra"]["BlueprintSearchAliases"])
    assert BLUEPRINTS[name].read_text(encoding="utf-8").isascii()  # the host reads it in the system's own encoding


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_short_run_of_a_blueprint_ends_well(name: str, driver: Driver, object_info: Json, own_video: str) -> None:
    blueprint = json.loads(BLUEPRINTS[name].read_text(encoding="utf-8"))
    prompt = workflow.to_api(blueprint, object_info)
    titled = {node["_meta"]["title"]: node_id for node_id, node in prompt.items()}
    prompt["load"] = {"class_type": "LoadVideo", "inputs": {"file": own_video}, "_meta": {"title": "Load"}}
    prompt["save"] = {"class_type": "SaveVideo", "_meta": {"title": "Save"}, "inputs": {
        "video": [titled["Video"], 0], "filename_prefix": "blueprint", "format": "auto", "codec": "auto"}}
    if "Take it apart" in titled:
        prompt[titled["Take it apart"]]["inputs"]["video"] = ["load", 0]
    workflow.apply([workflow.parse_setting(text) for text in SHORT_BLUEPRINT[name]], prompt, object_info)
    outcome = driver.run(prompt)
    assert outcome.end.type == "execution_success", failure_of(outcome)


@pytest.mark.parametrize("title", FILES)
def test_only_known_nodes_inputs_and_options(title: str, object_info: Json) -> None:
    for node in workflow.to_api(read(title), object_info).values():
        declared = object_info[node["class_type"]]["input"]
        known = {**declared["required"], **declared.get("optional", {})}
        given = {name: value for name, value in node["inputs"].items() if name != "upload"}  # a button
        assert set(declared["required"]) <= set(given) <= set(known)
        for name, value in given.items():
            options = options_of(known[name])
            if options is not None and name != USERS_OWN.get(node["class_type"]):
                assert value in options


def options_of(spec: list[Any]) -> list[Any] | None:
    """The options of a combo, however it is declared; None for every other input."""
    if isinstance(spec[0], list):
        return spec[0]
    return spec[1].get("options") if len(spec) > 1 else None


@pytest.mark.parametrize("title", FILES)
def test_the_server_accepts_it_with_all_nodes_awake(title: str, driver: Driver, object_info: Json, own_video: str,
                                                    own_lora: str) -> None:
    graph = read(title)
    for node in graph["nodes"]:
        node["mode"] = 0
    outcome = driver.run(prompt_of(graph, object_info, own_video, own_lora), interrupt_when=lambda event: True)
    assert outcome.end.type != "execution_error", failure_of(outcome)


@pytest.mark.parametrize("title", SHORT)
def test_a_short_run_of_it_ends_well(title: str, driver: Driver, object_info: Json, own_video: str, own_lora: str) -> None:
    prompt = prompt_of(read(title), object_info, own_video, own_lora)
    workflow.apply([workflow.parse_setting(text) for text in SHORT[title]], prompt, object_info)
    outcome = driver.run(prompt)
    assert outcome.end.type == "execution_success", failure_of(outcome)


def test_text_to_video_is_the_official_run(object_info: Json) -> None:
    nodes = by_title(workflow.to_api(read("Show-1 text to video"), object_info))
    for title, expected in OFFICIAL.items():
        sampling = SAMPLING if "steps" in expected else {}
        found = nodes[title]["inputs"]
        assert {name: found[name] for name in {**expected, **sampling}} == {**expected, **sampling}, title


NODES = {"keyframes": "Show1KeyframeSampler", "interpolation": "Show1Interpolator", "first-frame": "Show1FirstFrameSR",
         "sr1": "Show1PixelSR", "sr2": "Show1LatentSR"}


def test_few_steps_are_the_preset_and_nothing_else_changes(object_info: Json) -> None:
    official, few = (by_title(workflow.to_api(read(title), object_info))
                     for title in ("Show-1 text to video", "Show-1 text to video, few steps"))
    steps = {NODES[stage.name]: stage.few_steps for stage in STAGES}
    assert official.keys() == few.keys()
    for title, node in official.items():
        preset = {"steps": steps[node["class_type"]]} if "steps" in node["inputs"] else {}
        assert wires(few[title]) == wires(node) and plain(few[title]) == plain(node) | preset, title


def plain(node: Json) -> Json:
    """A node's values, without the links."""
    return {name: value for name, value in node["inputs"].items() if not isinstance(value, list)}


def test_text_to_video_has_the_wires_of_its_miniature_twin(object_info: Json) -> None:
    official = by_title(workflow.to_api(read("Show-1 text to video"), object_info))
    twin = by_title(json.loads((REPO / "tests" / "data" / "miniature_workflow.json").read_text(encoding="utf-8")))
    assert set(official) == set(twin)
    for title, node in twin.items():
        assert official[title]["class_type"] == node["class_type"]
        assert wires(official[title]) == wires(node), title
    assert official["Prompt"]["inputs"] == twin["Prompt"]["inputs"]


def by_title(prompt: Json) -> Json:
    """The nodes by title, their links naming titles as well."""
    titles = {node_id: node["_meta"]["title"] for node_id, node in prompt.items()}
    assert len(set(titles.values())) == len(titles)

    def named(value: Any) -> Any:
        return [titles[value[0]], value[1]] if isinstance(value, list) else value

    return {titles[node_id]: {**node, "inputs": {name: named(value) for name, value in node["inputs"].items()}}
            for node_id, node in prompt.items()}


def wires(node: Json) -> Json:
    return {name: value for name, value in node["inputs"].items() if isinstance(value, list)}


def scopes(graph: Json) -> list[Json]:
    """The graph and those of its subgraphs."""
    return [graph, *graph.get("definitions", {}).get("subgraphs", [])]


@pytest.mark.parametrize("title", FILES)
def test_every_node_says_which_pack_it_is_from(title: str) -> None:
    for node in [node for graph in scopes(read(title)) for node in graph["nodes"]]:
        if node["type"] != "MarkdownNote":
            ours = node["type"].startswith("Show1")
            assert node["properties"]["cnr_id"] == ("show-1" if ours else "comfy-core")
            assert node["properties"]["ver"] and node["properties"]["Node name for S&R"] == node["type"]


def test_every_template_has_a_thumbnail_and_no_other_is_there() -> None:
    assert {file.stem for file in (REPO / "example_workflows").glob("*.jpg")} == set(FILES)
