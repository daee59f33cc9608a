"""Training resumes exactly after a kill, averages its weights, and starts where it should."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mini import operations
from mini.loop import Plan, Trainer, average_weight, learning_rate
from mini.recipes import FIRST_FRAME_UNET, IMAGES_UNET, INTERPOLATION_UNET, KEYFRAMES_UNET, PIXEL_SR_UNET, unet_config
from mini.start import inherit
from mini.tasks import build_unet, clips
from mini.world import draw, keyframe_times
from show1_core.models.config import UNetConfig
from show1_core.models.unet import UNet
from show1_core.schedule import Schedule, signal_variance
from show1_core.tuning.objectives import noise_prediction, noised, timesteps

TINY = replace(KEYFRAMES_UNET, channels=(32, 32), levels="RS")
PLAN = Plan(steps=6, batch=2, learning_rate=1e-3, warmup=2)


class TinyTask(nn.Module):
    """The keyframe objective on a tiny UNet, without a text encoder."""

    def __init__(self):
        super().__init__()
        self.unet = build_unet(TINY, seed=0)
        self.abar = signal_variance(Schedule("squaredcos_cap_v2"))

    def loss(self, batch, data, noise):
        clean = clips(draw(data, batch), keyframe_times()[:2], (8, 12))
        timestep = timesteps(batch, noise)
        epsilon = torch.randn(clean.shape, generator=noise)
        text = torch.randn((batch, 4, TINY.text_dim), generator=noise)
        return noise_prediction(self.unet(noised(clean, epsilon, timestep, self.abar), timestep, text), epsilon)


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.parameters.items()}


def test_resuming_after_a_kill_changes_nothing(tmp_path):
    whole = Trainer(TinyTask(), PLAN, tmp_path / "whole")
    whole.run()

    killed = Trainer(TinyTask(), PLAN, tmp_path / "killed")
    killed.run(until=3)
    killed.advance()  # done, but not saved when the kill comes
    resumed = Trainer(TinyTask(), PLAN, tmp_path / "killed")
    assert resumed.resume() and resumed.step == 3
    resumed.run(until=5)
    resumed = Trainer(TinyTask(), PLAN, tmp_path / "killed")  # killed once more: what was restored is saved rightly too
    assert resumed.resume() and resumed.step == 5
    resumed.run()

    assert resumed.step == whole.step == 6
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name
        assert torch.equal(whole.average[name], resumed.average[name]), name


def test_a_kill_while_saving_leaves_the_checkpoint_before(tmp_path):
    trainer = Trainer(TinyTask(), PLAN, tmp_path)
    trainer.run(until=1)
    (tmp_path / "state.tmp").write_bytes(b"half a checkpoint")
    assert Trainer(TinyTask(), PLAN, tmp_path).resume()


def test_nothing_to_resume(tmp_path):
    assert not Trainer(TinyTask(), PLAN, tmp_path).resume()


def test_the_rate_rises_stays_and_falls():
    plan = Plan(steps=1000, batch=1, learning_rate=2.0, warmup=100, decay=0.25)
    assert learning_rate(plan, 0) == pytest.approx(0.02)
    assert learning_rate(plan, 500) == 2.0
    assert learning_rate(plan, 875) == pytest.approx(1.0)
    assert 0 < learning_rate(plan, 999) < 0.01


def test_the_average_forgets_its_start():
    plan = Plan(steps=1, batch=1, learning_rate=1.0, average=0.999)
    assert average_weight(plan, 0) == pytest.approx(0.1)
    assert average_weight(plan, 10**6) == 0.999


def test_training_layers_compute_what_torch_computes():
    unet = UNet(UNetConfig.from_dict(unet_config(TINY))).eval()
    fast = UNet(UNetConfig.from_dict(unet_config(TINY)), operations=operations).eval()
    fast.load_state_dict(unet.state_dict())
    sample, text = torch.randn(2, 3, 4, 8, 12), torch.randn(2, 5, TINY.text_dim)
    with torch.no_grad():
        torch.testing.assert_close(fast(sample, torch.tensor(7), text), unet(sample, torch.tensor(7), text), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recipe", [KEYFRAMES_UNET, IMAGES_UNET])
def test_a_fresh_unet_takes_its_input_for_noise(recipe):
    unet = build_unet(recipe, seed=0)
    sample = torch.randn(1, recipe.in_channels, *([4] if recipe.temporal else []), 16, 24)
    with torch.no_grad():
        guess = unet(sample, torch.tensor(900), torch.randn(1, 5, recipe.text_dim))[:, :3]
    assert (guess - sample[:, :3]).square().mean() < 1e-3


def test_the_keyframe_model_starts_as_the_image_model_on_every_frame():
    image, video = build_unet(IMAGES_UNET, 1), build_unet(KEYFRAMES_UNET, 2)
    missing = inherit(video, dict(image.named_parameters()))
    assert missing and all("temp_" in name for name in missing)
    clip, text = torch.randn(2, 3, 4, 20, 32), torch.randn(2, 5, KEYFRAMES_UNET.text_dim)
    with torch.no_grad():
        frames = [image(clip[:, :, frame], torch.tensor(500), text) for frame in range(4)]
        torch.testing.assert_close(video(clip, torch.tensor(500), text), torch.stack(frames, dim=2), rtol=1e-4, atol=1e-4)


def test_interpolation_starts_as_the_keyframe_model():
    keyframes, interpolation = build_unet(KEYFRAMES_UNET, 1), build_unet(INTERPOLATION_UNET, 2)
    assert inherit(interpolation, dict(keyframes.named_parameters())) == []
    clip, rest, text = torch.randn(1, 3, 4, 8, 12), torch.randn(1, 4, 4, 8, 12), torch.randn(1, 5, KEYFRAMES_UNET.text_dim)
    with torch.no_grad():
        expected = keyframes(clip, torch.tensor(500), text)
        torch.testing.assert_close(interpolation(torch.cat([clip, rest], 1), torch.tensor(500), text), expected)


def test_video_super_resolution_starts_from_the_image_model():
    image, video = build_unet(FIRST_FRAME_UNET, 1), build_unet(PIXEL_SR_UNET, 2)
    missing = inherit(video, dict(image.named_parameters()))
    assert missing and all("temp_" in name for name in missing)


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match="shape"):
        inherit(build_unet(TINY, 0), {"conv_out.weight": torch.zeros(6, 64, 3, 3)})


@pytest.mark.parametrize("recipe", [FIRST_FRAME_UNET, PIXEL_SR_UNET])
@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_super_resolution_starts_by_taking_its_condition_away(recipe, sigma):
    """What a picture has beyond a condition that is nearly the picture comes out at the size of noise."""
    clean = clips(draw(np.random.default_rng(0), 2), keyframe_times()[:2], (32, 48))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    sample = torch.cat([(1 - sigma**2) ** 0.5 * clean + sigma * noise, clean], dim=1)
    if not recipe.temporal:
        sample, noise = sample[:, :, 0], noise[:, :, 0]
    guess = build_unet(recipe, seed=0)(sample, torch.tensor(100), torch.randn(2, 4, recipe.text_dim), torch.tensor(0))
    found = torch.corrcoef(torch.stack([guess[:, :3].flatten(), noise.flatten()]))[0, 1]
    assert found > 0.95 and 0.65 < guess[:, :3].std() < 1.1
