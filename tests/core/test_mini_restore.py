"""A checkout can train the shipped weights further."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mini import restore
from mini.loop import Plan, Trainer
from mini.t5 import TextEncoder
from mini.train import FOLDERS, part

MINI = Path(__file__).resolve().parents[2] / "models" / "show1-mini"
STAGES = ["keyframe-pairs", "interpolation", "first-frame-edges", "sr1-edges", "sr2-early", "vae", "scorer"]
# By stage: the file that ships, and what its weights are called in front while they are trained.
FILES = {"vae": ("sr2/vae/diffusion_pytorch_model.safetensors", "vae."), "scorer": ("scorer/model.safetensors", "clip.")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All stages restored; the words of the encoder are not looked up, so it needs no tokenizer."""
    patch = pytest.MonkeyPatch()
    patch.setattr(restore, "Tokenizer", lambda path: None)
    patch.setattr(TextEncoder, "_start", lambda self, seed: None)
    folder = tmp_path_factory.mktemp("training")
    assert restore.restore(MINI, folder, Path("unused")) == STAGES
    assert restore.restore(MINI, folder, Path("unused")) == []
    patch.undo()
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_the_weights_are_the_shipped_ones(folder, stage):
    average = torch.load(folder / stage / "state.pt", weights_only=True)["average"]
    file, prefix = FILES.get(stage) or (f"{FOLDERS[stage]}/unet/diffusion_pytorch_model.safetensors", "unet.")
    shipped = load_file(MINI / file)
    found = part(average, prefix)
    assert found.keys() == shipped.keys()
    assert all(torch.equal(found[name], tensor.float()) for name, tensor in shipped.items())


def test_training_goes_on_from_there(folder):
    before = torch.load(folder / "first-frame-edges" / "state.pt", weights_only=True)
    task = restore.Weights({"unet": restore.load_unet(MINI / "first-frame").requires_grad_(True)})
    task.loss = lambda batch, data, noise: sum(p.square().mean() for p in task.parameters())
    trainer = Trainer(task, Plan(steps=2, batch=2, learning_rate=1e-3, warmup=1), folder / "first-frame-edges")
    assert trainer.resume() and trainer.step == 0
    assert all(torch.equal(p, before["weights"][name]) for name, p in trainer.parameters.items())
    with torch.enable_grad():
        trainer.advance()
    assert trainer.step == 1
