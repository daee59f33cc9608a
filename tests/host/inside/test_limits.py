"""What does not belong, and what lies at the limits: refused in one sentence before any work, or done whole."""

from __future__ import annotations

import pytest
import torch

PUBLISHED = ("published", "published")
pytestmark = pytest.mark.slow  # sizes at the edge
CHECKPOINTS = ("show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")


@pytest.fixture
def stages(pack, t5, clip, vae):
    """Each stage's node as a function of a MODEL and frames, at one step."""
    keyframes, interpolation = pack("nodes.keyframes").Show1KeyframeSampler, pack("nodes.interpolation").Show1Interpolator
    pixel, latent = pack("nodes.pixel_sr"), pack("nodes.latent_sr").Show1LatentSR
    return {
        "show-1-base": lambda model, images: keyframes.execute(model, *t5, 1, 1, 5.0, len(images), 8, 8, *PUBLISHED).args[0],
        "show-1-interpolation": lambda model, images: interpolation.execute(model, *t5, images, 1, 1, 4.0, *PUBLISHED).args[0],
        "IF-II-L-v1.0": lambda model, images:
            pixel.Show1FirstFrameSR.execute(model, *t5, images, 1, 2, 4.0, 150, *PUBLISHED).args[0],
        "show-1-sr1": lambda model, images: pixel.Show1PixelSR.execute(model, *t5, images, 1, 1, 7.0, 250, *PUBLISHED).args[0],
        "show-1-sr2": lambda model, images:
            latent.execute(model, vae, *clip, images, 1, 2, 15.0, 0.8, 64, 64, *PUBLISHED).args[0]}


def frames(count, height=8, width=8, channels=3):
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("place", CHECKPOINTS)
@pytest.mark.parametrize("given", CHECKPOINTS)
def test_every_checkpoint_in_every_place(load, stages, monkeypatch, given, place):
    import comfy.sample

    model = load(given)
    if given == place:
        assert len(stages[place](model, frames(2)))
        return
    monkeypatch.setattr(comfy.sample, "sample_custom", lambda *_, **__: pytest.fail("sampling had begun"))
    with pytest.raises(ValueError) as refused:
        stages[place](model, frames(2))
    sentence = str(refused.value)
    assert given in sentence and place in sentence and "belongs in" in sentence and "\n" not in sentence


@pytest.mark.parametrize("place", CHECKPOINTS)
def test_a_model_of_another_family_in_every_place(pack, load, stages, place):
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models

    config = comfy.supported_models.SD15({"image_model": None, "model_channels": 32})
    foreign = comfy.model_patcher.ModelPatcher(type("Inner", (), {"model_config": config})(), "cpu", "cpu")
    with pytest.raises(ValueError, match=f"model is a SD15 model; expected .*{place}"):
        stages[place](foreign, frames(2))


@pytest.mark.parametrize("place", ["show-1-base", "show-1-sr2"])
def test_text_of_another_width_is_refused(load, pack, place):
    wide = [[torch.zeros(1, 77, 999), {}]]
    identity = load(place).model.show1
    with pytest.raises(ValueError, match="is text of width 999"):
        pack("nodes.checks").text(wide, "positive", identity)


@pytest.mark.parametrize("place", CHECKPOINTS)
def test_text_that_carries_frames_for_core_samplers_is_refused(pack, load, clip, t5, place):
    carrying = pack("nodes.core_samplers").Show1InterpolationConditioning.execute(*t5, frames(2)).args[0]
    with pytest.raises(ValueError, match="positive carries frames .* takes the text alone"):
        pack("nodes.checks").text(carrying, "positive", load(place).model.show1)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 10, 15, 16, 29, 36])
def test_any_number_of_frames_is_enlarged_whole(load, stages, count):
    out = stages["show-1-sr1"](load("show-1-sr1"), frames(count))
    assert out.shape == (count, 32, 32, 3) and bool(torch.isfinite(out).all())
    assert all(frame.std() > 1e-3 for frame in out), "a frame was left empty"


@pytest.mark.parametrize("count", [2, 3, 7, 10])
def test_any_number_of_frames_is_filled_in(load, stages, count):
    out = stages["show-1-interpolation"](load("show-1-interpolation"), frames(count))
    assert out.shape == (4 * count - 3, 8, 8, 3) and all(frame.std() > 1e-3 for frame in out)


@pytest.mark.parametrize("count", [1, 2, 9, 10])
def test_any_number_of_keyframes_is_drawn(load, stages, count):
    out = stages["show-1-base"](load("show-1-base"), frames(count))
    assert out.shape == (count, 8, 8, 3) and all(frame.std() > 1e-3 for frame in out)


@pytest.mark.parametrize("place", ["show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2"])
def test_alpha_is_dropped(load, stages, place):
    opaque = torch.cat([frames(2), torch.ones(2, 8, 8, 1)], dim=-1)
    assert torch.equal(stages[place](load(place), opaque), stages[place](load(place), frames(2)))


@pytest.mark.parametrize("place, bad, sentence", [
    *((place, frames(0), "0 frames") for place in CHECKPOINTS[1:]),
    *((place, torch.full((2, 8, 8, 3), float("nan")), "NaN or infinity") for place in CHECKPOINTS[1:]),
    *((place, torch.full((2, 8, 8, 3), float("-inf")), "NaN or infinity") for place in CHECKPOINTS[1:]),
    *((place, frames(2, channels=1), "has shape") for place in CHECKPOINTS[1:]),
    ("show-1-interpolation", frames(1), "expected at least 2"),
    ("show-1-interpolation", frames(2, 9, 8), "multiples of 8, such as 8x8"),
    ("show-1-interpolation", frames(2, 4, 8), "multiples of 8, such as 8x8"),
    ("show-1-sr1", frames(2, 7, 8), "multiples of")])
def test_frames_a_stage_cannot_take_are_one_sentence(load, stages, monkeypatch, place, bad, sentence):
    import comfy.sample

    monkeypatch.setattr(comfy.sample, "sample_custom", lambda *_, **__: pytest.fail("sampling had begun"))
    with pytest.raises(ValueError, match=sentence) as refused:
        stages[place](load(place), bad)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("steps, denoise, scheduler, sentence", [
    (1, 0.8, "published", "steps is 1 and denoise 0.8, which leaves no step"),
    (3, 0.01, "published", "leaves no step"),
    (1, 1.0, "kl_optimal", "scheduler kl_optimal makes NaN or infinity when steps is 1; take more")])
def test_steps_that_come_to_nothing_are_one_sentence(pack, load, clip, vae, monkeypatch, steps, denoise, scheduler, sentence):
    import comfy.sample

    monkeypatch.setattr(comfy.sample, "sample_custom", lambda *_, **__: pytest.fail("sampling had begun"))
    with pytest.raises(ValueError, match=sentence):
        pack("nodes.latent_sr").Show1LatentSR.execute(
            load("show-1-sr2"), vae, *clip, frames(2), 1, steps, 15.0, denoise, 64, 64, "published", scheduler)
