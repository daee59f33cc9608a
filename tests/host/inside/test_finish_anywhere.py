"""A clip of ours through a video model of the core, Wan 2.1 in miniature with random weights, and docs/finish-anywhere.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "finish-anywhere.md"
ROW = re.compile(r"^\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", re.MULTILINE)
SHIFTS = (8.0, 3.0)  # of the table's columns


@pytest.fixture(scope="module")
def wan():
    """The core's own MODEL and VAE of a miniature."""
    import comfy.ldm.wan.model
    import comfy.ldm.wan.vae
    import comfy.ops
    import comfy.sd

    torch.manual_seed(0)
    with torch.inference_mode(False):
        network = comfy.ldm.wan.model.WanModel(dim=128, ffn_dim=64, num_heads=1, num_layers=1,
                                               operations=comfy.ops.disable_weight_init)
        coder = comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
                                         temperal_downsample=[False, True, True], dropout=0.0)
        for weights in (*network.parameters(), *coder.parameters()):
            torch.nn.init.normal_(weights, std=0.05)
    vae = comfy.sd.VAE(sd={name: tensor.detach() for name, tensor in coder.state_dict().items()})
    return comfy.sd.load_diffusion_model_state_dict({name: tensor.detach() for name, tensor in network.state_dict().items()}), vae


@pytest.fixture(scope="module")
def redraw(wan):
    """What the template does behind *Interpolation*, with random text: frames (F, H, W, 3) at a denoise."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    import nodes

    model, vae = wan
    text = [[torch.randn(1, 8, 4096, generator=torch.Generator().manual_seed(1)), {}]]

    def redraw(images, denoise):
        with torch.inference_mode():
            shifted, = ModelSamplingSD3().patch(model, 8.0)
            large, = nodes.ImageScale().upscale(images, "bicubic", 48, 32, "disabled")
            latent, = nodes.VAEEncode().encode(vae, large)
            out, = nodes.KSampler().sample(shifted, 3, 3, 6.0, "uni_pc", "simple", text, text, latent, denoise)
            return latent["samples"], out["samples"], nodes.VAEDecode().decode(vae, out)[0]

    return redraw


def test_a_clip_of_ours_fits_another_model(redraw) -> None:
    """29 frames are one more than seven times four: none is lost on the way."""
    images = torch.rand(29, 16, 24, 3, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1  # not clamped
    latent, out, frames = redraw(images, 0.6)
    assert latent.shape == out.shape == (1, 16, 8, 4, 6)
    assert frames.shape == (29, 32, 48, 3) and bool(torch.isfinite(frames).all())


def test_a_lower_denoise_keeps_more(redraw) -> None:
    images = torch.rand(5, 16, 24, 3, generator=torch.Generator().manual_seed(0))
    distance = []
    for denoise in (0.1, 0.9):
        latent, out, _ = redraw(images, denoise)
        distance.append(float((out - latent).norm()))
    assert distance[0] < 0.8 * distance[1]


def test_the_pages_table_is_the_hosts_schedule(wan) -> None:
    """How much of what the other model first sees is noise, at each denoise."""
    import comfy.samplers
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) >= 6
    for denoise, *said in rows:
        for shift, share in zip(SHIFTS, said, strict=True):
            shifted, = ModelSamplingSD3().patch(wan[0], shift)
            sampling = shifted.get_model_object("model_sampling")
            sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", int(30 / float(denoise)))[-31:]
            assert float(share) == pytest.approx(float(sigmas[0]), abs=0.011), (denoise, shift)
