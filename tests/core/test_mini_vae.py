"""The autoencoder starts as a box filter, and its latent space is standardised without changing what it draws."""

import numpy as np
import torch

from mini.latent import Bank, build_vae, encode, standardise
from mini.recipes import VAE_RECIPE
from mini.tasks import clips
from mini.train import Workshop
from mini.world import draw
from show1_core.tuning.objectives import psnr


def frames(count=4):
    return clips(draw(np.random.default_rng(0), count), np.array([0.5]), (64, 96))[:, :, 0]


@torch.no_grad()
def test_an_untrained_autoencoder_blurs():
    vae, clean = build_vae(VAE_RECIPE).eval(), frames()
    mean = vae.encode(clean).latent_dist.mean
    assert mean.shape == (4, 4, 8, 12)
    assert psnr(vae.decode(mean).sample, clean) > 15


@torch.no_grad()
def test_standardising_changes_the_latents_and_not_the_picture():
    vae, clean = build_vae(VAE_RECIPE).eval(), frames()
    before = vae.decode(vae.encode(clean).latent_dist.mean).sample
    standardise(vae, encode(vae, clean.transpose(0, 1)[None])[None])
    latents = vae.encode(clean).latent_dist.mean
    torch.testing.assert_close(vae.decode(latents).sample, before, rtol=1e-3, atol=1e-3)
    scaled = latents * vae.config.scaling_factor
    torch.testing.assert_close(scaled.mean(dim=(0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(scaled.std(dim=(0, 2, 3)), torch.ones(4), rtol=0, atol=1e-2)


def test_the_bank_is_the_same_for_the_same_seed():
    vae = build_vae(VAE_RECIPE).eval()
    first, second = (Bank.fill(vae, count=1, seed=4) for _ in range(2))
    assert first.captions == second.captions and torch.equal(first.latents, second.latents)
    assert first.latents.shape == (1, 4, 8, 20, 32)


def test_a_bank_is_kept_in_a_training_folder_that_is_new(tmp_path, monkeypatch):
    """With what ships in place of trained stages, nothing has made the folder yet."""
    vae = build_vae(VAE_RECIPE).eval()
    bank, made = Bank(torch.zeros(1, 4, 1, 2, 2), ("a ball",)), []
    monkeypatch.setattr(Workshop, "autoencoder", lambda shop: vae)
    monkeypatch.setattr(Bank, "fill", lambda *rest, **more: made.append(bank) or bank)
    shop = Workshop(tmp_path / "training", tokenizer=tmp_path)
    assert [shop.bank(1).captions for _ in range(2)] == [bank.captions] * 2 and len(made) == 1
