"""Frames on one device, noise drawn on another: every step of the cascade under tensors that have a device and no values."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from show1_core import cascade, schedule, stages
from show1_core.cascade import Encoded, VideoSize

OTHER = "other"
PLACES = [("cpu", OTHER), (OTHER, "cpu"), (OTHER, OTHER), ("cpu", "cpu")]


@pytest.fixture(scope="module")
def second_device():
    """A device besides the CPU that PyTorch believes in, without a driver or a build for it."""
    registration = pytest.importorskip("torch.utils.backend_registration")
    if not hasattr(registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip(f"PyTorch {torch.__version__} cannot pretend a second device")
    registration._setup_privateuseone_for_python_backend(OTHER)


@pytest.fixture
def fake(second_device, monkeypatch):
    """A world in which a second device exists, and mixing devices is the error it is there."""
    monkeypatch.setattr(schedule, "signal_variance", lambda _: torch.full((1000,), 0.5))  # a table of this world
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def sampler(where):
    """A host's sampler: takes what it is given to its own device, answers there."""
    def sample(noise, condition, start, generator):
        x = noise.to(where) if start is None else start.to(where) + noise.to(where)
        return x if condition.frames is None else x + condition.frames[:, :3].to(where)
    return sample


@pytest.mark.parametrize("frames, result", PLACES)
def test_every_stage_takes_frames_from_anywhere(fake, frames, result):
    clip, sample = torch.zeros(1, 3, 10, 8, 8, device=frames), sampler(result)
    assert cascade.keyframes(sample, VideoSize(2, 8, 8), 1, clip[:, :, :2]).device.type == result
    assert cascade.drafts(sample, VideoSize(2, 8, 8), 1, 3).device.type == result
    for redraw in (False, True):
        assert cascade.interpolate(sample, clip, 1, redraw).shape[2] == 37
        large = cascade.first_frame(sample, clip[:, :, :1], stages.NOISING, 150, 1, redraw)
        assert cascade.upscale(sample, clip, large, stages.NOISING, 250, 1, redraw).shape == (1, 3, 10, 32, 32)
        assert cascade.upscale(sample, clip, large.to(frames), stages.NOISING, 250, 1, redraw).shape == (1, 3, 10, 32, 32)


@pytest.mark.parametrize("posterior, result", PLACES)
def test_the_last_stage_takes_a_posterior_from_anywhere(fake, posterior, result, monkeypatch):
    monkeypatch.setattr(cascade, "resize", lambda images, size: images)  # goes through numpy, on the CPU

    def encode(images):
        latent = torch.zeros(3, 4, 4, 4, device=posterior)
        return Encoded(latent, latent)

    latent = cascade.refine(sampler(result), encode, torch.zeros(3, 32, 32, 3), (32, 32), 1)
    assert latent.device.type == result and latent.shape == (1, 4, 3, 4, 4)


def test_mixing_devices_is_an_error_here(fake):
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device=OTHER) + torch.zeros(2)
