"""LoRAs from files through their node: what core nodes and the trainer make of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_motion import draw, fresh, train  # noqa: F401 - fixtures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The host's folder of LoRAs, and where core Save LoRA writes."""
    import folder_paths

    loras = tmp_path / "output" / "loras"
    loras.mkdir(parents=True)
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(loras)], {".safetensors", ".pt"}))
    folder_paths.filename_list_cache.clear()
    return loras


@pytest.fixture
def load_lora(pack, folder):
    import folder_paths

    def load(file: Path, model=None):
        folder_paths.filename_list_cache.clear()
        pack("nodes.lora").LIBRARY._listed.clear()
        return pack("nodes.lora").Show1LoadLoRA.execute(file.name, model).args[0]

    return load


def of_diffusers(lora):
    """As diffusers saves it: its names, and no record."""
    return {name.replace("diffusion_model.", "unet.").replace("lora_down", "lora_A").replace("lora_up", "lora_B"): value
            for name, value in lora.items() if name.startswith("diffusion_model.")}


def test_what_core_saves_is_gone_on_with_as_if_nothing_had_been_between(fresh, train, folder, load_lora):  # noqa: F811
    from comfy_extras.nodes_train import SaveLoRA

    _, whole, _ = train(fresh(), steps=4)
    half, _, steps = train(fresh(), steps=2)
    SaveLoRA.execute(half, "loras/motion", steps)
    (file,) = folder.glob("*.safetensors")
    loaded = load_lora(file, fresh())
    assert loaded.keys() == half.keys() and all(torch.equal(value, half[name]) for name, value in loaded.items())
    _, losses, steps = train(fresh(), steps=2, lora=loaded)
    assert steps == 4 and losses["loss"][:2] == pytest.approx(whole["loss"][:2], abs=1e-6)
    assert losses["loss"][2] == pytest.approx(whole["loss"][2], rel=1e-4), "the same draw from the same weights"


def test_a_file_of_diffusers_changes_the_picture_as_the_native_one(fresh, train, draw, folder, load_lora):  # noqa: F811
    from comfy.sd import load_lora_for_models
    from comfy_extras.nodes_train import LoraModelLoader

    lora = train(fresh())[0]
    save_file(of_diffusers(lora), folder / "theirs.safetensors")
    tuned = LoraModelLoader.execute(fresh(), load_lora(folder / "theirs.safetensors", fresh()), 1.0).args[0]
    expected = draw(LoraModelLoader.execute(fresh(), lora, 1.0).args[0])
    assert torch.equal(draw(tuned), expected) and not torch.equal(expected, draw(fresh()))
    alone, _ = load_lora_for_models(fresh(), None, load_file(folder / "theirs.safetensors"), 1.0, 0.0)
    assert not alone.patches, "the core's loader alone leaves such a file out: that is what the node is for"


def test_metadata_of_the_command_goes_along(pack, fresh, train, folder, load_lora):  # noqa: F811
    files, model = pack("show1_core.tuning.lora_files"), fresh()
    lora, _, _ = train(model)
    adapters = files.adapters_from(lora, model.model.diffusion_model)
    files.save(folder / "command.safetensors", adapters, files.record_in(lora))
    assert files.record_in(load_lora(folder / "command.safetensors")) == files.record_in(lora)


@pytest.mark.parametrize("given", [True, False], ids=["with the model", "without"])
def test_another_base_of_the_same_size_is_warned_of(pack, fresh, train, folder, load_lora, caplog, given):  # noqa: F811
    files = pack("show1_core.tuning.lora_files")
    save_file(files.with_record(train(fresh())[0], files.Record(base="0123")), folder / "other.safetensors")
    with caplog.at_level(logging.WARNING):
        load_lora(folder / "other.safetensors", fresh() if given else None)
    assert ("trained on another base (0123)" in caplog.text) == given


def test_what_does_not_fit_is_refused(fresh, load, train, folder, load_lora):  # noqa: F811
    save_file(of_diffusers(train(fresh())[0]), folder / "base.safetensors")
    with pytest.raises(ValueError, match="was made for another base"):
        load_lora(folder / "base.safetensors", load("show-1-sr1"))
    save_file({"something.weight": torch.zeros(1)}, folder / "none.safetensors")
    with pytest.raises(ValueError, match="holds no LoRA of known names"):
        load_lora(folder / "none.safetensors")
    (folder / "damaged.safetensors").write_bytes(b"\x10" + bytes(40))
    with pytest.raises(ValueError, match="is damaged"):
        load_lora(folder / "damaged.safetensors")
    with pytest.raises(ValueError, match="'gone.safetensors' is not there; models/loras has"):
        load_lora(folder / "gone.safetensors")
