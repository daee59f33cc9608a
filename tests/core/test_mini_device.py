"""Training asks for nothing outside its device, shown without a GPU: on `meta`, where tensors have shapes and no values."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mini import latent, operations, recipes
from mini.latent import Autoencoder, Bank, LatentSR
from mini.redraw import FirstFrameAtEdges, LatentSREarly, PixelSRAtEdges
from mini.tasks import FirstFrame, ImagePairs, Images, Interpolation, KeyframePairs, Keyframes, PixelSR
from show1_core.tuning.objectives import noise_prediction

ELSEWHERE = torch.device("meta")


class States(nn.Module):
    """Stands for the text encoder: states from a table, a token a word."""

    width = recipes.T5_RECIPE.d_model

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(1, 77, recipes.T5_RECIPE.d_model))

    def length(self, prompt):
        return len(prompt.split())

    def forward(self, prompts):
        return self.table.expand(len(prompts), -1, -1)


def tiny(recipe):
    return replace(recipe, channels=(32,) * len(recipe.channels))


BANK = Bank(torch.randn(4, 4, 8, 20, 32), ("a", "b", "c", "d"))
TASKS = {
    "images": lambda: Images(tiny(recipes.IMAGES_UNET), States()),
    "keyframes": lambda: Keyframes(tiny(recipes.KEYFRAMES_UNET), States()),
    "image-pairs": lambda: ImagePairs(tiny(recipes.IMAGES_UNET), States()),
    "keyframe-pairs": lambda: KeyframePairs(tiny(recipes.KEYFRAMES_UNET), States()),
    "interpolation": lambda: Interpolation(tiny(recipes.INTERPOLATION_UNET), States()),
    "first-frame": lambda: FirstFrame(recipes.FIRST_FRAME_UNET, States()),
    "sr1": lambda: PixelSR(recipes.PIXEL_SR_UNET, States()),
    "first-frame-edges": lambda: FirstFrameAtEdges(recipes.FIRST_FRAME_UNET, States()),
    "sr1-edges": lambda: PixelSRAtEdges(recipes.PIXEL_SR_UNET, States()),
    "sr2": lambda: LatentSR(recipes.LATENT_SR_UNET, States(), BANK),
    "sr2-early": lambda: LatentSREarly(recipes.LATENT_SR_UNET, States(), BANK),
    "vae": lambda: Autoencoder(recipes.VAE_RECIPE),
}


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """It knows no `meta`."""
    for module in (operations, latent):
        monkeypatch.setattr(module, "cheap_products", lambda device: nullcontext())


@pytest.mark.parametrize("stage", TASKS)
def test_a_step_stays_on_its_device(stage):
    task = TASKS[stage]().to(ELSEWHERE)
    with torch.enable_grad():
        loss = task.loss(4, np.random.default_rng(0), torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad(loss, [p for p in task.parameters() if p.requires_grad], allow_unused=True)
    assert loss.device == ELSEWHERE and loss.shape == ()
    assert {gradient.device for gradient in gradients if gradient is not None} == {ELSEWHERE}


def test_a_tensor_left_behind_is_noticed():
    with pytest.raises(RuntimeError, match="same device|meta"):
        noise_prediction(torch.empty(2, 3, 4, device=ELSEWHERE), torch.randn(2, 3, 4))
