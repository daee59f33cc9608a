"""The latent stage where memory does not hold its clip: windows of time, said in the log, near to the whole."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

MINI = Path(__file__).resolve().parents[3] / "models" / "show1-mini"
PUBLISHED = ("published", "published")
FRAMES, WIDTH, HEIGHT = 20, 128, 80


def moving(frames: int) -> Tensor:
    """A red square that crosses a grey ground, (F, H, W, 3)."""
    clip = torch.full((frames, HEIGHT, WIDTH, 3), 0.45)
    for number, frame in enumerate(clip):
        left = 10 + 4 * number
        frame[25:55, left:left + 30] = torch.tensor([0.8, 0.15, 0.1])
    return clip


@pytest.fixture(scope="module")
def refine(pack, mini, mini_recipe, mini_text):
    """The mini's last stage over the moving square: its latent (1, 4, F, h, w)."""
    host, weights = pack("nodes.host"), pack("show1_core.weights")
    folder, made = MINI / "sr2" / "vae", mini_recipe["refine"]
    vae = host.load_vae(weights.read_tensors(weights.find_weights(folder, "diffusion_pytorch_model")),
                        weights.read_json(folder / "config.json"))
    node = pack("nodes.latent_sr").Show1LatentSR

    def refine(seed: int = 1) -> Tensor:
        with torch.inference_mode():
            return node.execute(mini("sr2"), vae, *mini_text("a red cube moving right"), moving(FRAMES), seed, made["steps"],
                                made["guidance"], made["strength"], WIDTH, HEIGHT, *PUBLISHED).args[0]

    return refine


def test_windows_are_told_once_and_change_little(pack, mini, refine, monkeypatch, caplog) -> None:
    """Far less than another seed does, and no more where windows meet than elsewhere."""
    import comfy.model_management as mm

    whole, other_seed = refine(), refine(2)
    config = mini("sr2").model.show1.config
    frame = pack("show1_core.memory").IN_CHUNKS * config.peak_elements * (HEIGHT // 8) * (WIDTH // 8) * 4
    monkeypatch.setattr(mm, "get_free_memory", lambda *_: int(10 * frame / pack("show1_core.memory").MARGIN))
    with caplog.at_level(logging.WARNING):
        windowed = refine()
    said = [record.getMessage() for record in caplog.records if "windows" in record.getMessage()]
    assert len(said) == 1 and "with 20 frames at once; they are done in windows of 8 frames that share 2" in said[0]
    levels = [255 * float((clip - whole).abs().mean()) for clip in (windowed, other_seed)]
    steps = 255 * (windowed[1:] - windowed[:-1]).abs().mean((1, 2, 3))
    print(f"{levels[0]:.2f} levels from the whole, another seed {levels[1]:.2f}; steps {steps.tolist()}")
    assert 0 < levels[0] < 0.5 * levels[1]
    assert steps.max() < 1.5 * steps.mean()
