"""Each stage, fed with what the official code fed it, against what the official code made."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from diffusers import AutoencoderKL
from recording import GOLDEN, error

from show1_core import cascade, read_checkpoint, stages
from show1_core.cascade import Encoded, VideoSize
from show1_core.checkpoints import load_unet
from show1_core.sampling import StageSampler


@pytest.fixture
def stage_sample(models, texts):
    """`sample` of a miniature by its published folder's own schedule."""

    def make(name, text, steps, guidance, denoise=1.0):
        identity = read_checkpoint(models / name).identity
        scale = identity.latent_scale if identity.stage is stages.LATENT_SR else 1.0
        negative, positive = texts[text].split(1)
        sample = StageSampler(load_unet(models / name), identity.schedule, positive, negative, steps, guidance, denoise, scale)
        return sample, identity

    return make


def test_keyframes(stage_sample, golden, recipe):
    settings = recipe["keyframes"]
    sample, _ = stage_sample("show-1-base", "t5", settings["steps"], settings["guidance"])
    size = VideoSize(settings["frames"], settings["height"], settings["width"])
    assert error(cascade.keyframes(sample, size, recipe["seed"]), golden["cascade.keyframes"]) <= 3e-5


def test_a_stage_logs_once_what_served_and_why_not_the_others(stage_sample, caplog):
    """However many windows it has."""
    sample, _ = stage_sample("show-1-base", "t5", 1, 5.0)
    with caplog.at_level(logging.INFO, logger="show1_core"):
        for seed in range(2):
            cascade.keyframes(sample, VideoSize(2, 8, 8), seed)
    line, = caplog.messages
    assert line.startswith("Show-1: 8x8 with 2 frames, torch.float32 on cpu; kernels: convolution eager/flat, ")
    assert "group_norm triton" in line and "the tensors are on cpu" in line


def test_interpolation(stage_sample, golden, recipe):
    settings = recipe["interpolate"]
    sample, _ = stage_sample("show-1-interpolation", "t5", settings["steps"], settings["guidance"])
    assert error(cascade.interpolate(sample, golden["cascade.keyframes"], recipe["seed"]), golden["cascade.interpolated"]) <= 3e-5


def test_first_frame(stage_sample, golden, recipe):
    settings = recipe["first_frame"]
    sample, identity = stage_sample("IF-II-L-v1.0", "t5", settings["steps"], settings["guidance"])
    image = golden["cascade.interpolated"][:, :, :1]
    large = cascade.first_frame(sample, image, identity.noising, settings["noise_level"], recipe["seed"])
    assert error(large[:, :, 0], golden["cascade.first_frame"]) <= 3e-5


@pytest.mark.slow  # 15 seconds; the quick run has this stage in tests/host/test_cascade.py
def test_refinement(stage_sample, models, golden, recipe):
    settings = recipe["refine"]
    vae = AutoencoderKL.from_config(json.loads((GOLDEN / "show-1-sr2" / "vae" / "config.json").read_text())).eval()
    vae.load_state_dict({name: tensor.float() for name, tensor in
                         torch.load(models / "show-1-sr2" / "vae" / "diffusion_pytorch_model.bin", weights_only=True).items()})
    seen = []

    def encode(images):
        seen.append(images)
        posterior = vae.encode(images.movedim(-1, 1) * 2 - 1).latent_dist
        seen.append(posterior.mean)
        return Encoded(posterior.mean, posterior.std)

    sample, _ = stage_sample("show-1-sr2", "clip", settings["steps"], settings["guidance"], settings["strength"])
    images = cascade.to_images(golden["cascade.upscaled"])
    latent = cascade.refine(sample, encode, images, (settings["height"], settings["width"]), recipe["seed"])
    frames = vae.decode(latent[0].transpose(0, 1)).sample  # (29, 3, H, W)
    assert torch.equal((seen[0] * 255).round().byte(), golden["cascade.refine_input"])
    assert error(seen[1], golden["vae.mean"]) <= 1e-6
    assert error(cascade.as_clip(frames)[:, :, [0, 14, 28]], golden["cascade.refined_0_14_28"]) <= 1e-4
    levels = ((frames.movedim(1, -1) * 0.5 + 0.5).clamp(0, 1) * 255).byte()
    assert (levels.int() - golden["cascade.frames"].int()).abs().max() <= 1


def test_pairs_in_one_batch_are_pairs_one_by_one(stage_sample, golden):
    sample, _ = stage_sample("show-1-interpolation", "t5", 3, 4.0)
    clip = golden["cascade.keyframes"]
    together = cascade.interpolate(sample, clip, 5)
    for pair in range(clip.shape[2] - 1):
        alone = cascade.interpolate(sample, clip[:, :, pair:pair + 2], 5)
        assert error(together[:, :, 4 * pair:4 * pair + 4], alone[:, :, :4]) <= 1e-5


@pytest.mark.parametrize("frames, expected", [
    (1, [(0, 1)]), (2, [(0, 2)]), (7, [(0, 7)]), (8, [(0, 8)]), (9, [(0, 8), (1, 9)]), (10, [(0, 8), (2, 10)]),
    (15, [(0, 8), (7, 15)]), (29, [(0, 8), (7, 15), (14, 22), (21, 29)]),
    (37, [(0, 8), (7, 15), (14, 22), (21, 29), (28, 36), (29, 37)]),
])
def test_windows_leave_no_frame_out(frames, expected):
    assert cascade.windows(frames) == expected


def test_every_window_draws_the_same_noise_and_starts_from_its_neighbour():
    seen = []

    def sample(noise, condition, start, generator):
        seen.append((noise, condition))
        return noise + len(seen)

    clip, first = torch.rand(1, 3, 10, 4, 4), torch.rand(1, 3, 1, 16, 16)
    result = cascade.upscale(sample, clip, first, stages.NOISING, 250, seed=1)
    (noise, one), (again, two) = seen
    assert torch.equal(noise, again) and one.noise_level == two.noise_level == 250
    assert torch.equal(one.frames[:, :, :1], first)
    assert torch.equal(two.frames[:, :, :1], noise[:, :, 2:3] + 1)  # frame 2 of the first window, before it is written over
    assert torch.equal(result[:, :, 2:], again + 2) and torch.equal(result[:, :, :2], noise[:, :, :2] + 1)


def test_without_a_first_frame_the_first_window_sees_noised_frames_only():
    seen = []
    cascade.upscale(lambda noise, condition, *_: seen.append(condition.frames) or noise, torch.zeros(1, 3, 3, 4, 4), None,
                    stages.NOISING, 250, seed=1)
    assert seen[0].std() > 0.3  # zeros, noised


def test_images_and_clips_are_the_same_numbers():
    images = torch.rand(5, 4, 6, 3) * 3 - 1  # overshoot is kept between pixel stages
    assert torch.allclose(cascade.to_images(cascade.to_clip(images)), images, atol=1e-6)


def test_after_the_largest_seed_comes_the_first() -> None:
    """Takes of drafts count on from a seed, which may be the largest."""
    drawn = cascade.drafts(lambda noise, *_: noise, cascade.VideoSize(1, 8, 8), 2**64 - 1, 2)
    assert torch.equal(drawn[1:], cascade.keyframes(lambda noise, *_: noise, cascade.VideoSize(1, 8, 8), 0))
