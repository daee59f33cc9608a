"""Each node, fed with what the official code fed its stage, against what the official code made; and runs nobody recorded."""

from __future__ import annotations

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")


@pytest.fixture
def nodes(pack):
    return {name: pack(f"nodes.{name}") for name in ("keyframes", "interpolation", "pixel_sr", "latent_sr")}


@pytest.fixture
def images(pack):
    return pack("show1_core.cascade").to_images


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
def test_keyframes(nodes, load, t5, golden, recipe, images):
    made = recipe["keyframes"]
    out, fps = nodes["keyframes"].Show1KeyframeSampler.execute(
        load("show-1-base"), *t5, recipe["seed"], made["steps"], made["guidance"], made["frames"], made["width"], made["height"],
        *PUBLISHED).args
    assert error(out * 2 - 1, images(golden["cascade.keyframes"]) * 2 - 1) <= 3e-5 and fps == 2.0


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
def test_interpolation(nodes, load, t5, golden, recipe, images):
    made = recipe["interpolate"]
    out, fps = nodes["interpolation"].Show1Interpolator.execute(
        load("show-1-interpolation"), *t5, images(golden["cascade.keyframes"]), recipe["seed"], made["steps"], made["guidance"],
        *PUBLISHED).args
    assert error(out * 2 - 1, images(golden["cascade.interpolated"]) * 2 - 1) <= 3e-5 and fps == 8.0


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
def test_first_frame(nodes, load, t5, golden, recipe, images):
    made = recipe["first_frame"]
    out, = nodes["pixel_sr"].Show1FirstFrameSR.execute(
        load("IF-II-L-v1.0"), *t5, images(golden["cascade.interpolated"]), recipe["seed"], made["steps"], made["guidance"],
        made["noise_level"], *PUBLISHED).args
    assert error(out * 2 - 1, images(golden["cascade.first_frame"][:, :, None]) * 2 - 1) <= 3e-5


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
def test_upscaling(nodes, load, t5, golden, recipe, images):
    made = recipe["upscale"]
    out, = nodes["pixel_sr"].Show1PixelSR.execute(
        load("show-1-sr1"), *t5, images(golden["cascade.interpolated"]), recipe["seed"], made["steps"], made["guidance"],
        made["noise_level"], *PUBLISHED, images(golden["cascade.first_frame"][:, :, None])).args
    assert error(out * 2 - 1, images(golden["cascade.upscaled"]) * 2 - 1) <= 3e-3


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
def test_refinement(nodes, load, clip, vae, golden, recipe, images, pack):
    made = recipe["refine"]
    out, latent = nodes["latent_sr"].Show1LatentSR.execute(
        load("show-1-sr2"), vae, *clip, images(golden["cascade.upscaled"]), recipe["seed"], made["steps"], made["guidance"],
        made["strength"], made["width"], made["height"], *PUBLISHED).args
    expected = images(golden["cascade.refined_0_14_28"]).clamp(0, 1)  # the host's VAE clamps
    assert error(out[[0, 14, 28]] * 2 - 1, expected * 2 - 1) <= 1e-4
    assert latent["samples"].shape == (29, 4, 8, 16)


def test_the_posterior_is_the_recorded_one(pack, vae, golden):
    mean, std = pack("nodes.host").encode_posterior(vae, golden["cascade.refine_input"].float() / 255)
    assert error(mean, golden["vae.mean"]) <= 1e-5 and bool((std > 0).all())


@pytest.mark.slow  # fifteen seconds
@pytest.mark.parametrize("steps, frames, height, width", [
    (1, 2, 8, 8), (2, 8, 8, 16), (14, 3, 24, 8), (15, 5, 16, 40), (31, 1, 8, 24)])
def test_other_runs_of_the_keyframes_equal_the_library(nodes, pack, load, t5, texts, steps, frames, height, width):
    model, cascade = load("show-1-base"), pack("show1_core.cascade")
    out, _ = nodes["keyframes"].Show1KeyframeSampler.execute(model, *t5, 7, steps, 5.0, frames, width, height, *PUBLISHED).args
    sample = plain(pack, model, texts["t5"], 5.0, steps)
    expected = cascade.keyframes(sample, cascade.VideoSize(frames, height, width), 7)
    assert error(cascade.to_clip(out), expected) <= 3e-5


@pytest.mark.slow  # fifteen seconds
@pytest.mark.parametrize("steps, count", [(6, 2), (16, 5)])
def test_other_runs_of_the_interpolation_equal_the_library(nodes, pack, load, t5, texts, steps, count):
    model, cascade = load("show-1-interpolation"), pack("show1_core.cascade")
    keyframes = torch.rand(count, 16, 8, 3, generator=torch.Generator().manual_seed(1))
    out, _ = nodes["interpolation"].Show1Interpolator.execute(model, *t5, keyframes, 3, steps, 4.0, *PUBLISHED).args
    sample = plain(pack, model, texts["t5"], 4.0, steps)
    assert error(cascade.to_clip(out), cascade.interpolate(sample, cascade.to_clip(keyframes), 3)) <= 3e-5


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
@pytest.mark.parametrize("steps, denoise, frames, height, width", [
    (10, 0.5, 3, 72, 120), (25, 0.8, 1, 64, 72), (50, 0.1, 2, 88, 64)])
def test_other_runs_of_the_latent_stage_equal_the_library(nodes, pack, load, clip, texts, vae, steps, denoise, frames, height,
                                                        width):
    model, cascade, host = load("show-1-sr2"), pack("show1_core.cascade"), pack("nodes.host")
    clip_frames = torch.rand(frames, 40, 64, 3, generator=torch.Generator().manual_seed(2))
    _, latent = nodes["latent_sr"].Show1LatentSR.execute(
        model, vae, *clip, clip_frames, 11, steps, 15.0, denoise, width, height, *PUBLISHED).args
    sample = plain(pack, model, texts["clip"], 15.0, steps, denoise, 0.18215)
    expected = cascade.refine(sample, lambda pixels: host.encode_posterior(vae, pixels), clip_frames, (height, width), 11)
    assert error(latent["samples"], cascade.as_frames(expected)) <= 1e-4


@pytest.mark.parametrize("sampler, scheduler", [("euler", "normal"), ("dpmpp_2m", "karras"), ("euler_ancestral", "published"),
                                                ("published", "beta"), ("uni_pc", "simple")])
def test_core_samplers_and_schedulers_run_every_pixel_stage(nodes, load, t5, sampler, scheduler):
    small = torch.rand(2, 8, 8, 3, generator=torch.Generator().manual_seed(4))
    out, _ = nodes["keyframes"].Show1KeyframeSampler.execute(
        load("show-1-base"), *t5, 1, 3, 5.0, 2, 8, 8, sampler, scheduler).args
    assert out.shape == (2, 8, 8, 3) and bool(torch.isfinite(out).all())
    out, = nodes["pixel_sr"].Show1PixelSR.execute(load("show-1-sr1"), *t5, small, 1, 3, 7.0, 250, sampler, scheduler).args
    assert out.shape == (2, 32, 32, 3) and bool(torch.isfinite(out).all())
    if sampler != "published":
        out, = nodes["pixel_sr"].Show1FirstFrameSR.execute(
            load("IF-II-L-v1.0"), *t5, small, 1, 3, 4.0, 150, sampler, scheduler).args
        assert out.shape == (1, 32, 32, 3) and bool(torch.isfinite(out).all())


@pytest.mark.slow  # the quick run has this stage in ../test_cascade.py
@pytest.mark.parametrize("denoise", [0.3, 0.7])
def test_below_full_strength_what_came_in_is_kept(nodes, load, t5, denoise):
    flat = torch.full((2, 8, 8, 3), 0.8)
    out, _ = nodes["keyframes"].Show1KeyframeSampler.execute(
        load("show-1-base"), *t5, 1, 20, 5.0, 8, 64, 40, *PUBLISHED, images=flat, denoise=denoise).args
    assert out.shape == flat.shape
    fresh, _ = nodes["keyframes"].Show1KeyframeSampler.execute(
        load("show-1-base"), *t5, 1, 20, 5.0, 2, 8, 8, *PUBLISHED, images=flat).args
    assert (out - flat).norm() < (fresh - flat).norm()


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp8_e4m3fn", "auto"])
def test_every_storage_gives_nearly_the_same(nodes, load, t5, dtype):
    exact, _ = nodes["keyframes"].Show1KeyframeSampler.execute(load("show-1-base"), *t5, 1, 4, 5.0, 2, 8, 8, *PUBLISHED).args
    out, _ = nodes["keyframes"].Show1KeyframeSampler.execute(load("show-1-base", dtype), *t5, 1, 4, 5.0, 2, 8, 8, *PUBLISHED).args
    assert bool(torch.isfinite(out).all()) and error(out, exact) <= {"fp8_e4m3fn": 0.1, "bf16": 0.1}.get(dtype, 0.02)


def plain(pack, model, text, guidance, steps, *rest):
    """The library's own sampler over the network inside a MODEL."""
    sampling, inner = pack("show1_core.sampling"), model.model.diffusion_model
    unet = pack("show1_core.models.unet").UNet(inner.config, torch.float32, "meta")
    unet.load_state_dict(inner.state_dict(), assign=True)
    return sampling.StageSampler(unet.eval(), model.model.show1.schedule, text[1:], text[:1], steps, guidance, *rest)


@pytest.mark.parametrize("kernels", ["auto", "eager"])
def test_the_loaders_choice_of_kernels_reaches_the_network(pack, models, t5, nodes, kernels, monkeypatch):
    registry, seen = pack("show1_core.kernels.registry"), set()
    choose = registry.Function.choose

    def watched(self, inputs):
        seen.add(registry._wanted.get())
        return choose(self, inputs)

    monkeypatch.setattr(registry.Function, "choose", watched)
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")
    model = pack("nodes.host").load_model(checkpoint, "fp32", kernels)
    nodes["keyframes"].Show1KeyframeSampler.execute(model, *t5, 1, 1, 5.0, 2, 8, 8, *PUBLISHED)
    assert seen == {kernels}
