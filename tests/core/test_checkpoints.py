"""Files and folders: every published format, and everything that is not a Show-1 checkpoint, in one sentence."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from show1_core import CheckpointError, load_unet, read_checkpoint
from show1_core.checkpoints import RECORD, SAVED_PREFIX, record_tensor
from show1_core.library import part_names, unet_names
from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR
from show1_core.weights import find_weights, read_json, read_names, read_tensors

STAGES = {stage.checkpoint: stage for stage in (KEYFRAMES, INTERPOLATION, FIRST_FRAME, PIXEL_SR, LATENT_SR)}
BASE = "diffusion_pytorch_model.fp16.bin"


@pytest.fixture
def base(models, tmp_path):
    """A copy of the keyframe miniature, to be damaged."""
    return shutil.copytree(models / "show-1-base", tmp_path / "show-1-base")


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("part", ["", "unet"])
def test_a_published_folder_is_recognised(models, name, part):
    checkpoint = read_checkpoint(models / name / part)
    assert checkpoint.identity.stage is STAGES[name]
    assert all(tensor.dtype == torch.float16 for tensor in checkpoint.tensors.values())


def test_weights_are_loaded_as_asked(models):
    unet = load_unet(models / "show-1-base", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.bfloat16} and not unet.training


def single_file(models, path, name="show-1-base"):
    checkpoint = read_checkpoint(models / name)
    record = {"unet": read_json(models / name / "unet" / "config.json"),
              "scheduler": read_json(models / name / "scheduler" / "scheduler_config.json")}
    save_file({key: tensor.contiguous() for key, tensor in checkpoint.tensors.items()}, path, {"show1": json.dumps(record)})


def test_a_single_file_with_its_config_inside_is_the_same_model(models, tmp_path):
    single_file(models, tmp_path / "keyframes.safetensors")
    folder, file = read_checkpoint(models / "show-1-base"), read_checkpoint(tmp_path / "keyframes.safetensors")
    assert file.identity.config == folder.identity.config and file.identity.schedule == folder.identity.schedule
    assert all(torch.equal(file.tensors[name], tensor) for name, tensor in folder.tensors.items())


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_shards_are_one_model(models, base, ending):
    weights = read_tensors([base / "unet" / BASE])
    (base / "unet" / BASE).unlink()
    names, parts = sorted(weights), {}
    for index in range(3):
        file = f"diffusion_pytorch_model-{index}.{ending}"
        part = {name: weights[name] for name in names[index::3]}
        (save_file if ending == "safetensors" else torch.save)(part, base / "unet" / file)
        parts.update(dict.fromkeys(part, file))
    (base / "unet" / f"diffusion_pytorch_model.{ending}.index.json").write_text(json.dumps({"weight_map": parts}))
    assert read_checkpoint(base).tensors.keys() == weights.keys()


@pytest.mark.parametrize("ending", [".safetensors", ".sft", ".SAFETENSORS"])
def test_every_ending_of_safetensors_is_read_as_such(tmp_path, ending):
    file = tmp_path / f"some{ending}"
    save_file({"x": torch.ones(2)}, file, {"kind": "some"})
    assert torch.equal(read_tensors([file])["x"], torch.ones(2)) and read_names(file) == ["x"]


@pytest.mark.parametrize("shard, sentence", [
    ("../elsewhere.bin", "plain file names"), ("/etc/passwd", "plain file names"), ("..", "plain file names"),
    ("a\\b.bin", "plain file names"), ("gone.bin", "is missing"),
])
def test_an_index_names_only_its_neighbours(base, shard, sentence):
    (base / "unet" / BASE).unlink()
    (base / "unet" / "diffusion_pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": shard}}))
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(base)


class Hostile:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_would_run_code_is_not_opened(base, tmp_path):
    torch.save({"conv_in.weight": Hostile(tmp_path / "ran")}, base / "unet" / BASE)
    with pytest.raises(CheckpointError, match="run code"):
        read_checkpoint(base)
    (base / "unet" / BASE).write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    with pytest.raises(CheckpointError):
        read_checkpoint(base)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("name, file", [("show-1-base", BASE), ("IF-II-L-v1.0", "diffusion_pytorch_model.fp16.safetensors")])
def test_a_truncated_file_is_one_sentence(models, tmp_path, name, file, keep):
    copy = shutil.copytree(models / name, tmp_path / name)
    data = (copy / "unet" / file).read_bytes()
    (copy / "unet" / file).write_bytes(data[:int(len(data) * keep) if keep < 1 else keep])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        read_checkpoint(copy)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def change(base, edit):
    weights = {name: tensor.clone() for name, tensor in read_tensors([base / "unet" / BASE]).items()}  # not mapped from the file
    edit(weights)
    torch.save(weights, base / "unet" / BASE)


@pytest.mark.parametrize("edit, sentence", [
    (lambda weights: weights.pop("conv_in.bias"), r"1 tensor missing \(such as conv_in.bias\)"),
    (lambda weights: weights.update(extra=torch.zeros(1)), r"1 tensor too many \(such as extra\)"),
    (lambda weights: weights.update({"conv_in.bias": torch.zeros(7)}), r"conv_in.bias \(7,\) where \(32,\) belongs"),
    (lambda weights: (weights.clear(), weights.update({"decoder.up_blocks.0.x": torch.zeros(1)})), "is a VAE"),
    (lambda weights: (weights.clear(), weights.update({"a.lora_up.weight": torch.zeros(1)})), "is a LoRA"),
    (lambda weights: (weights.clear(), weights.update({"encoder.block.0.x": torch.zeros(1)})), "is a T5 text encoder"),
    (lambda weights: (weights.clear(), weights.update({"model.diffusion_model.x": torch.zeros(1)})), "is a Stable Diffusion"),
    (lambda weights: weights.clear(), "is empty"),
])
def test_weights_that_do_not_fit_are_named(base, edit, sentence):
    change(base, edit)
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(base)


@pytest.mark.parametrize("config, sentence", [
    ("{", "not readable as JSON"), ("[]", "expected a JSON object"), ("{}", "lacks in_channels"), (None, "is missing"),
])
def test_a_config_that_is_none_is_named(base, config, sentence):
    file = base / "unet" / "config.json"
    file.unlink() if config is None else file.write_text(config)
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(base)


@pytest.mark.parametrize("record, sentence", [
    (torch.zeros(8), "expected bytes"), (torch.zeros(2**24 + 1, dtype=torch.uint8), "expected bytes"),
    (torch.zeros(8, dtype=torch.uint8), "unreadable"), (torch.full((4,), 255, dtype=torch.uint8), "unreadable"),
    (torch.tensor(list(b'{"unet": 3}'), dtype=torch.uint8), "unreadable"),
    (torch.tensor(list(b"[]"), dtype=torch.uint8), "unreadable"),
])
def test_a_saved_file_whose_record_is_none_is_refused(tmp_path, record, sentence):
    save_file({"model.diffusion_model.conv_in.weight": torch.zeros(1), RECORD: record}, tmp_path / "saved.safetensors")
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(tmp_path / "saved.safetensors")


def test_a_record_reads_back(models, tmp_path):
    checkpoint = read_checkpoint(models / "show-1-sr1")
    saved = {SAVED_PREFIX + name: tensor for name, tensor in checkpoint.tensors.items()}
    file = tmp_path / "saved.safetensors"
    save_file({**saved, "first_stage_model.x": torch.zeros(1), RECORD: record_tensor(checkpoint.identity)}, file)
    again = read_checkpoint(file)
    assert replace(again.identity, source=checkpoint.identity.source) == checkpoint.identity
    assert again.tensors.keys() == checkpoint.tensors.keys()


def test_other_places_are_named(models, tmp_path):
    for path, sentence in [(tmp_path / "nowhere", "is no file and no folder"), (models / "show-1-sr2" / "vae", "config lacks"),
                           (models / "show-1-base" / "text_encoder", "has no weights|config lacks")]:
        with pytest.raises(CheckpointError, match=sentence):
            read_checkpoint(path)
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is a LoRA"):
        read_checkpoint(tmp_path / "x.safetensors")
    (tmp_path / "x.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="single .ckpt file"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_the_library_lists_what_can_be_loaded(models, tmp_path):
    single_file(models, tmp_path / "converted.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / ".half.partial" / "unet").mkdir(parents=True)
    (tmp_path / ".half.partial" / "unet" / "config.json").write_text("{}")
    shutil.copytree(models / "show-1-sr2", tmp_path / "family" / "sr2")
    assert sorted(unet_names([models])) == sorted(STAGES)
    assert sorted(unet_names([tmp_path, tmp_path / "absent"])) == ["converted.safetensors", "family/sr2"]
    assert sorted(part_names([models], "text_encoder")) == ["show-1-base/text_encoder", "show-1-sr2/text_encoder"]
    assert sorted(part_names([tmp_path], "vae")) == ["family/sr2/vae"]


def test_full_precision_comes_before_half(tmp_path):
    for name in ("m.fp16.bin", "m.bin", "m.fp16.safetensors"):
        (tmp_path / name).touch()
        assert find_weights(tmp_path, "m")[0].name == name
