"""What each stage learns from a clip: sizes, windows, conditions, and that all of it can be learnt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._subclasses import FakeTensor, FakeTensorMode

from show1_core import cascade, load_unet
from show1_core.checkpoints import read_identity
from show1_core.schedule import signal_variance
from show1_core.tuning import adapters as kinds
from show1_core.tuning import examples, frames, motion

PLAN = motion.Plan(steps=2, learning_rate=1e-2, rank=2, loss="noise", train=kinds.SPATIAL_ATTENTION)
NAMES = ("show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")
WINDOWS = {"show-1-base": 8, "show-1-interpolation": 5, "IF-II-L-v1.0": 1, "show-1-sr1": 8, "show-1-sr2": 8}


def pictures(count: int = 12, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand((count, height, width, 3), generator=torch.Generator().manual_seed(0))


def encode(images: torch.Tensor) -> cascade.Encoded:
    """A VAE of means: an eighth of the size, four channels."""
    small = torch.nn.functional.avg_pool2d(images.movedim(-1, 1), 8)
    mean = torch.cat([small, small[:, :1]], dim=1)
    return cascade.Encoded(mean, torch.zeros_like(mean))


def example_of(models, name: str, images: torch.Tensor) -> examples.Example:
    identity = read_identity(models / name)
    return examples.example_of(identity, images, torch.rand(1, 5, identity.config.text_dim, generator=draws()), encode)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "given", "expected"), [
    ("show-1-base", (40, 40, 64), (8, 40, 64)), ("show-1-sr1", (40, 160, 256), (29, 160, 256)),
    ("show-1-sr1", (3, 64, 96), (3, 64, 96)),
    ("show-1-sr1", (3, 480, 640), (3, 160, 256)), ("IF-II-L-v1.0", (1, 41, 67), (1, 160, 256)),
    ("show-1-sr2", (40, 1080, 1920), (29, 320, 576)), ("show-1-sr2", (2, 40, 64), (2, 40, 64))])
def test_frames_come_in_a_size_that_the_stage_makes(models, name, given, expected) -> None:
    images = torch.zeros(1, 1, 1, 3).expand(*given, 3)
    assert frames.fitted(images, read_identity(models / name)).shape == (*expected, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_sees_neighbouring_frames_and_another_window_each_time(models, name) -> None:
    images = torch.arange(12.0)[:, None, None, None].expand(12, 64, 64, 3) / 20
    example, seen = example_of(models, name, images), set()
    scale = read_identity(models / name).latent_scale if name == "show-1-sr2" else 1.0
    for seed in range(120):
        step = example.of_step(draws(seed))
        assert step.clip.shape == example.shape and step.clip.shape[2] == WINDOWS[name]
        levels = step.clip[0, 0, :, 0, 0] / scale
        levels = levels * 20 if name == "show-1-sr2" else (levels + 1) / 2 * 20
        frames_seen = levels.round().int().tolist()
        if name != "show-1-base":
            assert frames_seen == list(range(frames_seen[0], frames_seen[0] + WINDOWS[name]))
        seen.add(frames_seen[0])
    assert seen == ({0} if name == "show-1-base" else set(range(12 - WINDOWS[name] + 1)))


@pytest.mark.parametrize("name", ["IF-II-L-v1.0", "show-1-sr1"])
def test_the_condition_is_the_clip_made_small_and_noised_up_to_the_published_level(models, name) -> None:
    identity, images = read_identity(models / name), pictures()
    example = example_of(models, name, images)
    small = frames.resized(images, 16, 16)
    assert torch.allclose(example.frames, cascade.enlarge(cascade.to_clip(small), 4))
    levels, known = [], 0
    for seed in range(60):
        step = example.of_step(draws(seed))
        first_is_clean = torch.equal(step.frames[:, :, 0], step.clip[:, :, 0])
        known += first_is_clean
        levels.append(step.noise_level)
        noise = step.frames[:, :, first_is_clean:]
        assert float(noise.var()) > 0.5 * float(1 - signal_variance(identity.noising)[step.noise_level])
    assert 0 <= min(levels) < 20 and 0.8 * identity.stage.noise_level < max(levels) <= identity.stage.noise_level
    assert (known == 0) if name == "IF-II-L-v1.0" else (30 < known < 55)


@pytest.mark.parametrize("count", [1, 4, 12])
def test_interpolation_is_given_the_ends_and_their_blend(models, count) -> None:
    """Of fewer frames than a window has, the last one stands still."""
    images = pictures(count)
    step = example_of(models, "show-1-interpolation", images).of_step(draws())
    assert step.clip.shape[2] == 5 and step.frames.shape[1:3] == (4, 5) and step.noise_level is None
    assert torch.equal(step.frames[:, :3, [0, -1]], step.clip[:, :, [0, -1]])
    assert step.frames[:, 3].amax((-1, -2)).tolist() == [[1, 0, 0, 0, 1]]
    if count < 5:
        whole = cascade.to_clip(frames.fitted(images, read_identity(models / "show-1-interpolation")))
        assert torch.equal(step.clip[:, :, :count], whole) and torch.equal(step.clip[:, :, -1], whole[:, :, -1])


def test_the_latent_expert_learns_its_own_timesteps_from_scaled_latents(models) -> None:
    identity, images = read_identity(models / "show-1-sr2"), pictures(3)
    example = example_of(models, "show-1-sr2", images)
    assert torch.allclose(example.clip, cascade.as_clip(encode(images).mean) * identity.latent_scale)
    assert example.timesteps == example.of_step(draws()).timesteps == 900
    with pytest.raises(ValueError, match="learns in latent space; give its VAE too"):
        examples.example_of(identity, images, torch.zeros(1, 5, 64))


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_looks_of_every_stage_can_be_learnt(models, name) -> None:
    unet, identity = load_unet(models / name), read_identity(models / name)
    example = example_of(models, name, pictures(9, 32, 32) if name != "show-1-sr2" else pictures(9))
    network = motion.of_library(unet, signal_variance(identity.schedule))
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    tuner = motion.Tuner(network, kinds.new_adapters(unet, PLAN.train, PLAN.rank, 0), example, PLAN)
    for _ in range(2):
        tuner.advance()
    assert all(parameter.detach().any() for parameter in tuner.adapters.parameters())
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())
    if name != "show-1-sr2":
        picture = motion.drawn(network, tuner.adapters, example, identity.schedule, 3)
        assert picture.shape == example.shape
        assert float(picture.abs().max()) < 1.5, "the schedule's threshold holds it within -1..1, but for the solver's overshoot"


@pytest.mark.parametrize("name", ["IF-II-L-v1.0", "show-1-sr1"])
def test_halved_it_is_still_what_the_stage_takes(models, name) -> None:
    example = example_of(models, name, pictures(2, 160, 256))
    multiple = read_identity(models / name).config.size_multiple
    for _ in range(2):
        example = example.halved()
        assert example.clip.shape[-2] % multiple == example.clip.shape[-1] % multiple == 0
        assert example.frames.shape == example.clip.shape and isinstance(example, examples.Upscaled)


@pytest.mark.parametrize(("name", "loss", "said"), [
    ("show-1-sr1", "frame cosine", "which is for the motion of keyframes; .* learns looks alone: set loss to noise"),
    ("show-1-sr2", "debiased", "learns looks alone"), ("show-1-interpolation", "frame error", "learns looks alone")])
def test_motion_is_of_keyframes_alone(models, name, loss, said) -> None:
    with pytest.raises(ValueError, match=said):
        examples.check_loss(read_identity(models / name), loss)
    for right in NAMES:
        examples.check_loss(read_identity(models / right), "noise")


def test_it_is_made_of_ordinary_tensors(models) -> None:
    with torch.inference_mode():
        made = example_of(models, "show-1-sr1", pictures(2))
    ordinary = made.ordinary()
    assert made.clip.is_inference() and isinstance(ordinary, examples.Upscaled)
    assert not any(tensor.is_inference() for tensor in (ordinary.clip, ordinary.text, ordinary.frames))
    assert torch.equal(ordinary.of_step(draws()).frames, replace(made).of_step(draws()).frames)


def test_what_lies_on_a_gpu_is_brought_to_where_noise_is_drawn() -> None:
    """As pictures and latents do under --gpu-only; of the GPU a stand-in."""
    mode, shape = FakeTensorMode(), torch.empty(1, 3, 2, 8, 8, device="meta")
    with mode:
        there = [FakeTensor(mode, shape, torch.device("cuda", 0)) for _ in range(3)]
        example = examples.Upscaled(there[0], there[1], there[2], noise_level=7).ordinary()
    tensors = [example.clip, example.text, example.frames]
    assert [value.device.type for value in tensors if value is not None] == 3 * ["cpu"] and example.noise_level == 7
