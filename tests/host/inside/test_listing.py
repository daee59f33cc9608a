"""What the loaders offer: links followed as the host does, no file opened twice, and one error where one thing is wrong."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import struct
import sys
import time
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[3]
LOADER = {"dtype": "auto", "kernels": "auto", "compile": "off"}
SAMPLER = {"seed": 0, "steps": 2, "cfg": 5.0, "frames": 2, "width": 8, "height": 8, "sampler_name": "published",
           "scheduler": "published"}
MANY, MILLISECONDS = 5000, 50
LOOKS = 3  # where a machine is slow: in how many times the time that a mere look at the files takes


def header_only(path, metadata):
    """A safetensors file of one number."""
    header = json.dumps({"__metadata__": metadata, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


@pytest.fixture
def place(pack, tmp_path, monkeypatch):
    """A diffusion_models folder of the host's, and a library that has listed nothing yet."""
    import folder_paths

    root = tmp_path / "diffusion_models"
    root.mkdir()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(root)], {".safetensors"}))
    monkeypatch.setattr(pack("nodes.host.paths"), "SECONDS", 0.0)
    monkeypatch.setattr(pack("nodes.loaders"), "LIBRARY", pack("nodes.host").Library())
    return root


@pytest.fixture
def nodes_of_the_host(pack, monkeypatch):
    """The pack's nodes registered as the host does it."""
    import nodes

    extension = asyncio.run(sys.modules[pack("nodes").__name__.split(".")[0]].comfy_entrypoint())
    for node in asyncio.run(extension.get_node_list()):
        monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, node.define_schema().node_id, node)
    return nodes.NODE_CLASS_MAPPINGS


@pytest.fixture
def opened(monkeypatch):
    """The files opened from here on, by Python or by safetensors."""
    import safetensors

    seen, plain, safe = [], builtins.open, safetensors.safe_open
    monkeypatch.setattr("io.open", lambda file, *rest, **more: seen.append(str(file)) or plain(file, *rest, **more))
    monkeypatch.setattr("pathlib.Path.open", lambda file, *rest, **more: seen.append(str(file)) or plain(file, *rest, **more))
    monkeypatch.setattr(safetensors, "safe_open", lambda file, *rest, **more: seen.append(str(file)) or safe(file, *rest, **more))
    return seen


def loaders(count):
    return {str(number): {"class_type": "Show1ModelLoader", "inputs": {"model": "show1-mini/sr1", **LOADER}}
            for number in range(count)}


def milliseconds(done):
    """CPU time of a call."""
    started = time.process_time()
    done()
    return 1000 * (time.process_time() - started)


def errors_of(prompt, node):
    """What the host says about a node of a prompt, and those it needs, before it runs: error texts by node."""
    import execution

    checked = {}
    asyncio.run(execution.validate_inputs("prompt", prompt, node, checked))
    assert node in checked
    return {number: [error["details"] for error in errors] for number, (_, errors, _) in checked.items() if errors}


def test_a_file_is_opened_when_it_is_new_or_has_changed(pack, place, opened):
    library = pack("nodes.loaders").LIBRARY
    header_only(place / "ours.safetensors", {"show1": "{}"})
    header_only(place / "other.safetensors", {"format": "pt"})
    assert "ours.safetensors" in library.models() and "other.safetensors" not in library.models()
    assert {Path(file).name for file in opened} >= {"ours.safetensors", "other.safetensors"}
    opened.clear()
    assert "ours.safetensors" in library.models() and not opened
    header_only(place / "other.safetensors", {"show1": "{}"})
    assert "other.safetensors" in library.models()
    (place / "ours.safetensors").unlink()
    assert "ours.safetensors" not in library.models()


def test_many_files_cost_little_and_a_prompt_opens_none(pack, place, opened, nodes_of_the_host, monkeypatch):
    monkeypatch.setattr(pack("nodes.host.paths"), "SECONDS", 0.3)
    for number in range(MANY):
        header_only(place / f"{number}.safetensors", {"format": "pt"})
    prompt = loaders(5)
    errors_of(prompt, "0")
    opened.clear()
    taken, looks, errors = [], [], []
    for _ in range(3):
        time.sleep(0.4)  # so that every one lists anew
        taken.append(milliseconds(lambda: errors.extend(errors_of(prompt, node) for node in prompt)))
        looks.append(milliseconds(lambda: [entry.stat() for entry in os.scandir(place)]))
    assert not any(errors) and not [file for file in opened if file.endswith(".safetensors")]
    assert min(taken) < max(MILLISECONDS, LOOKS * min(looks)), (taken, looks)


def test_links_are_followed_and_circles_end(pack, place, tmp_path):
    header_only(tmp_path / "elsewhere" / "deep" / "ours.safetensors", {"show1": "{}"})
    checkpoint = tmp_path / "another" / "unet"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")
    for link, target in {"linked": tmp_path / "elsewhere", "file.safetensors": tmp_path / "elsewhere/deep/ours.safetensors",
                         "checkpoint": tmp_path / "another", "circle": place, "nowhere.safetensors": tmp_path / "gone"}.items():
        (place / link).symlink_to(target)
    found = pack("nodes.loaders").LIBRARY.models()
    assert {"linked/deep/ours.safetensors", "file.safetensors", "checkpoint"} <= set(found)
    assert not [name for name in found if name.endswith(".safetensors") and ("circle" in name or "nowhere" in name)]


@pytest.mark.parametrize("loader, field, name, word, page", [
    ("Show1ModelLoader", "model", "show-1-interpolation", "interpolation", "showlab/show-1-interpolation"),
    ("Show1ModelLoader", "model", "IF-II-L-v1.0", "first-frame", "DeepFloyd/IF-II-L-v1.0"),
    ("Show1TextEncoderLoader", "text_encoder", "show-1-base/text_encoder", "t5", "showlab/show-1-base"),
    ("Show1VAELoader", "vae", "show-1-sr2/vae", "sr2", "showlab/show-1-sr2")])
def test_a_missing_model_is_one_sentence_on_one_node(place, nodes_of_the_host, loader, field, name, word, page):
    prompt = {"1": {"class_type": loader, "inputs": {field: name, **(LOADER if field == "model" else {})}}}
    (node, (sentence, *more)), = errors_of(prompt, "1").items()
    assert node == "1" and not more and "\n" not in sentence
    assert sentence.startswith(f"{field} - {field} '{name}' is not there") and f"https://huggingface.co/{page}" in sentence
    script = sentence.split('python "')[1].split('"')[0]
    assert Path(script).is_file() and f" --only {word} (" in sentence


def test_the_cascade_without_weights_shows_as_many_errors_as_models_are_missing(place, nodes_of_the_host, monkeypatch):
    """The graph of the template "Show-1 text to video", up to its last frames, in a host that has none of its files."""
    import folder_paths

    for kind in ("show1", "text_encoders"):
        monkeypatch.setitem(folder_paths.folder_names_and_paths, kind, ([str(place)], {".safetensors"}))
    prompt = json.loads((PACK / "tests" / "data" / "miniature_workflow.json").read_text(encoding="utf-8"))
    for node in prompt.values():  # the prompt's node is not one that a host has before its extras
        node["inputs"] = {name: "a cat" if value == ["1", 0] else value for name, value in node["inputs"].items()}
    loading = {number for number, node in prompt.items() if node["class_type"].endswith("Loader")}
    errors = errors_of(prompt, "17")
    assert {number: len(said) for number, said in errors.items()} == dict.fromkeys(loading, 1) and len(loading) == 8


def test_what_is_fetched_is_what_the_downloader_knows(pack, monkeypatch):
    monkeypatch.syspath_prepend(str(PACK / "scripts"))
    import download

    for name, (word, repository) in pack("nodes.files").PUBLISHED.items():
        checkpoint = download.CHECKPOINTS[word]
        assert checkpoint.repository == repository and name.split("/")[0] == checkpoint.folder
        assert name.count("/") == 0 or name.split("/")[1] in {part.folder for part in checkpoint.parts}


def test_a_wrong_sampler_is_one_error_before_anything_runs(place, nodes_of_the_host):
    inputs = {"model": ["0", 0], "positive": ["2", 0], "negative": ["2", 1], **SAMPLER, "sampler_name": "no_such_sampler"}
    prompt = {**loaders(1), "1": {"class_type": "Show1KeyframeSampler", "inputs": inputs},
              "2": {"class_type": "Show1T5Encode", "inputs": {"clip": ["3", 0], "prompt": "", "negative_prompt": "",
                                                              "clean_caption": False}},
              "3": {"class_type": "Show1TextEncoderLoader", "inputs": {"text_encoder": "show1-mini/keyframes/text_encoder"}}}
    (node, (sentence, *more)), = errors_of(prompt, "1").items()
    assert node == "1" and not more and "sampler_name 'no_such_sampler' is unknown here" in sentence


@pytest.mark.parametrize("name", ["dtype", "kernels", "compile"])
@pytest.mark.parametrize("value", ["no_such_choice", None, "x" * 9999])
def test_other_wrong_choices_are_refused_before_a_file_is_read(pack, monkeypatch, name, value):
    monkeypatch.setattr(pack("nodes.host.from_file"), "read_checkpoint", lambda *_: pytest.fail("a file was opened"))
    with pytest.raises(ValueError, match=f"^{name} .* is unknown here; expected one of") as refused:
        pack("nodes.loaders").Show1ModelLoader.execute("show1-mini/sr1", **{**LOADER, name: value})
    assert len(str(refused.value)) < 500
