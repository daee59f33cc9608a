"""convert.py: the same model in one file, or one sentence and nothing written."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

import convert  # noqa: E402
from terminal import Failure, packages  # noqa: E402

from show1_core import read_checkpoint  # noqa: E402
from show1_core.library import unet_names  # noqa: E402

CHECKPOINTS = ["show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2"]
WEIGHTS = "diffusion_pytorch_model.fp16.bin"


@pytest.fixture
def base(models: Path, tmp_path: Path) -> Path:
    """A copy of the keyframe miniature, to be damaged."""
    return shutil.copytree(models / "show-1-base", tmp_path / "show-1-base")


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as opened:
        return opened.metadata()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_file_is_the_same_model(models: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "one.safetensors"
    assert convert.main([str(models / name), str(out)]) == 0
    folder, file = read_checkpoint(models / name), read_checkpoint(out)
    for field in ("config", "stage", "schedule", "noising", "latent_scale"):
        assert getattr(file.identity, field) == getattr(folder.identity, field)
    assert file.tensors.keys() == folder.tensors.keys()
    assert all(torch.equal(file.tensors[key], tensor) for key, tensor in folder.tensors.items())
    assert list(unet_names([tmp_path])) == ["one.safetensors"] and list(tmp_path.iterdir()) == [out]


def test_the_file_says_where_it_comes_from(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "keyframes.safetensors"
    convert.main([str(models / "show-1-base" / "unet"), str(out)])
    described = metadata(out)
    digest = hashlib.sha256((models / "show-1-base" / "unet" / WEIGHTS).read_bytes()).hexdigest()
    assert described["source"] == "show-1-base"
    assert described["sha256"] == f"{digest}  {WEIGHTS}"
    assert set(json.loads(described["show1"])) == {"unet", "scheduler"}


@pytest.mark.parametrize("dtype", convert.DTYPES)
def test_the_type_is_the_one_asked_for(models: Path, tmp_path: Path, dtype: str) -> None:
    out = tmp_path / "keyframes.safetensors"
    convert.main([str(models / "show-1-base"), str(out), "--dtype", dtype])
    wanted, stored = getattr(torch, convert.DTYPES[dtype]), read_checkpoint(out).tensors
    for name, tensor in read_checkpoint(models / "show-1-base").tensors.items():
        assert stored[name].dtype == wanted and torch.equal(stored[name].float(), tensor.to(wanted).float())


@pytest.mark.parametrize(("number", "said"), [
    (1e4, "10000, which is too large for fp8_e4m3fn; choose a wider --dtype"),
    (-1e4, "10000, which is too large for fp8_e4m3fn; choose a wider --dtype"),
    (float("nan"), "NaN or infinity, .* download it again"),
    (float("-inf"), "NaN or infinity, .* download it again")])
def test_numbers_that_do_not_fit_are_refused(base: Path, tmp_path: Path, number: float, said: str) -> None:
    tensors = torch.load(base / "unet" / WEIGHTS, weights_only=True)
    tensors["conv_in.bias"][0] = number
    torch.save(tensors, base / "unet" / WEIGHTS)
    with pytest.raises(Failure, match=f"conv_in.bias holds .*{said}"):
        convert.main([str(base), str(tmp_path / "out" / "one.safetensors"), "--dtype", "fp8_e4m3fn"])
    assert not (tmp_path / "out").exists()


def test_views_of_one_storage_are_written_apart(base: Path, tmp_path: Path) -> None:
    tensors = torch.load(base / "unet" / WEIGHTS, weights_only=True)
    bias = tensors["conv_in.bias"]
    storage = torch.stack([bias, tensors["conv_norm_out.bias"]])
    tensors["conv_in.bias"], tensors["conv_norm_out.bias"] = storage[0], storage[1]
    torch.save(tensors, base / "unet" / WEIGHTS)
    convert.main([str(base), str(tmp_path / "one.safetensors")])
    assert torch.equal(read_checkpoint(tmp_path / "one.safetensors").tensors["conv_in.bias"], bias)


def test_an_existing_file_is_replaced_only_when_forced(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "keyframes.safetensors"
    out.write_text("mine")
    with pytest.raises(Failure, match="is there already; .* --force"):
        convert.main([str(models / "show-1-base"), str(out)])
    assert out.read_text() == "mine"
    convert.main([str(models / "show-1-base"), str(out), "--force"])
    assert "show1" in metadata(out)


class Payload:
    """Would write a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.file,)


def test_a_pickle_that_carries_code_is_not_opened(base: Path, tmp_path: Path) -> None:
    (base / "unet" / WEIGHTS).write_bytes(pickle.dumps({"conv_in.weight": Payload(tmp_path / "ran")}))
    with pytest.raises(Failure, match="would run code"):
        convert.main([str(base), str(tmp_path / "one.safetensors")])
    assert not (tmp_path / "ran").exists() and not (tmp_path / "one.safetensors").exists()


@pytest.mark.parametrize(("folder", "sentence"), [
    ("nowhere", "is no folder"), ("show-1-sr2/vae", "config lacks .*Show-1 unet folder"),
    ("show-1-base/scheduler", "config.json is missing"),
])
def test_other_folders_are_refused(models: Path, tmp_path: Path, folder: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        convert.main([str(models / folder), str(tmp_path / "one.safetensors")])
    assert not list(tmp_path.iterdir())


def test_another_ending_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="ends in .safetensors"):
        convert.main([str(models / "show-1-base"), str(tmp_path / "one.bin")])


def test_a_python_without_torch_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(Failure, match="has no torch; use the Python that runs ComfyUI"):
        convert.main([str(tmp_path), str(tmp_path / "one.safetensors")])


def test_a_full_disk_leaves_nothing_behind(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_tensors: object, file: Path, _metadata: object) -> None:
        file.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(Failure, match="could not be written .*No space left"):
        convert.main([str(models / "show-1-base"), str(tmp_path / "one.safetensors")])
    assert not list(tmp_path.iterdir())
