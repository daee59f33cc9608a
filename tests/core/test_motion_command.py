"""train_motion.py: a folder of frames becomes a LoRA, or one sentence is said and nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

import train_motion as command  # noqa: E402
from terminal import Failure  # noqa: E402

from show1_core.tuning import lora_files, motion  # noqa: E402
from show1_core.tuning.adapters import QKV  # noqa: E402


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Three pictures of different sizes, numbered without zeros."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, size in ((1, (16, 8)), (2, (16, 8)), (10, (30, 12))):
        Image.new("RGB", size, (20 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def run(models: Path, tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch):
    """The command on the miniature, with text states of its width in place of a tokenizer."""
    from show1_core import texts

    monkeypatch.setattr(texts, "encode_t5", lambda *inputs: torch.zeros(1, 5, 64))
    monkeypatch.setattr(texts, "encode_clip", lambda *inputs: torch.ones(1, 5, 64))
    out = tmp_path / "out" / "lora.safetensors"

    def call(*more: str, folder: Path = frames) -> Path:
        assert command.main([str(folder), "a cat is roaring", "--model", str(models / "show-1-base"), "--output", str(out),
                             "--tokenizer", str(tmp_path), "--steps", "2", "--rank", "2", *more]) == 0
        return out

    return call


def test_a_folder_of_frames_becomes_a_lora_and_a_run_goes_on(run, capsys) -> None:
    out = run()
    tensors, record = lora_files.read(out)
    assert (record.steps, record.train, record.rank, record.prompt) == (2, QKV, 2, "a cat is roaring")
    assert len(record.losses) == 2 and record.base and record.frames
    assert all(name.startswith("diffusion_model.") for name in tensors)
    _, later = lora_files.read(run("--resume", str(out)))
    assert later.steps == 4 and later.losses[:2] == record.losses and later.base == record.base
    assert "4 steps" in capsys.readouterr().err


def test_frames_come_in_the_order_of_their_numbers_and_in_one_size(frames: Path) -> None:
    read = command.read_frames(frames)
    assert read.shape == (3, 8, 16, 3) and [round(float(level) * 255) for level in read[:, 0, 0, 0]] == [20, 40, 200]


def test_what_is_there_is_replaced_only_when_it_is_gone_on_from_or_forced(run, tmp_path: Path, monkeypatch) -> None:
    out = run()
    learnt = out.read_bytes()
    for more in ((), ("--resume", str(tmp_path / "other.safetensors"))):
        with pytest.raises(Failure, match="is there already; give another name, --resume .* to go on, or --force"):
            run(*more)
    monkeypatch.setattr(Path, "replace", lambda *inputs: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(Failure, match="the disk is full"):
        run("--force")
    assert out.read_bytes() == learnt and list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("more", [("--steps", "0"), ("--steps", "-1"), ("--rank", "-1"), ("--rank", "many")])
def test_numbers_that_cannot_work_are_refused_by_the_command_line(run, more, capsys) -> None:
    with pytest.raises(SystemExit):
        run(*more)
    assert "is not a number of" in capsys.readouterr().err


def test_what_was_learnt_is_written_when_it_is_stopped(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = motion.loss_of, []

    def stopped(*inputs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*inputs)

    monkeypatch.setattr(motion, "loss_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert lora_files.read(tmp_path / "out" / "lora.safetensors")[1].steps == 1


@pytest.mark.parametrize(("more", "said"), [
    (("--output", "lora.pt"), "name a file that ends in .safetensors"), (("--output", f"{__file__}/cat.safetensors"), "exists"),
    (("--model", "nowhere"), "config.json is missing"),
    (("--resume", "nowhere.safetensors"), "is no file; expected a LoRA"),
    (("--tokenizer", "nowhere"), "is no folder; give --tokenizer"),
    (("--text-encoder", "nowhere"), "is no folder; give --text-encoder")])
def test_what_cannot_work_is_one_sentence(run, more, said) -> None:
    with pytest.raises(Failure, match=said):
        run(*more)


def test_frames_that_cannot_be_read_are_named(run, frames: Path, tmp_path: Path) -> None:
    """What all can be wrong with them is in test_frame_files.py."""
    with pytest.raises(Failure, match="nowhere is no folder"):
        run(folder=tmp_path / "nowhere")
    (frames / "3.png").write_bytes(b"no picture")
    with pytest.raises(Failure, match=r"frames cannot be read \(3\.png: "):
        run()


@pytest.mark.parametrize(("name", "stage"), [("IF-II-L-v1.0", "first-frame"), ("show-1-sr1", "sr1"), ("show-1-sr2", "sr2")])
def test_the_stages_after_the_keyframes_learn_a_style(run, models: Path, tmp_path: Path, name: str, stage: str) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(2):
        Image.effect_noise((32, 32), 90).save(folder / f"{number}.png")
    encoder = models / ("show-1-sr2" if stage == "sr2" else "show-1-base") / "text_encoder"
    more = ("--model", str(models / name), "--text-encoder", str(encoder), "--train", "spatial attention")
    _, record = lora_files.read(run(*more, "--loss", "noise", folder=folder))
    assert (record.stage, record.steps, record.loss) == (stage, 2, "noise")
    with pytest.raises(Failure, match="learns looks alone: set loss to noise"):
        run("--force", *more, folder=folder)


def test_the_help_says_both_what_motion_and_what_style_want(capsys) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "for a motion without place and colours, for a style with its name" in " ".join(capsys.readouterr().out.split())
