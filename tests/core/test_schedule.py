"""Timesteps, sigmas and random draws of the official runs."""

from __future__ import annotations

import pytest
import torch
from recording import GOLDEN, PUBLISHED

from show1_core import schedule as schedules
from show1_core.schedule import Schedule, dynamic_threshold, published_sigmas, published_timesteps, quantile
from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, NOISING, PIXEL_SR
from show1_core.weights import read_json


@pytest.mark.parametrize("stage, first, last, count", [
    (KEYFRAMES, [995, 982, 968, 955, 942, 929, 915], [66, 53, 40, 27, 13], 75),
    (INTERPOLATION, [995, 982, 968], [27, 13], 75),
    (FIRST_FRAME, [966, 952, 938], [14, 0], 70),
    (PIXEL_SR, [999, 991, 983], [24, 16, 8], 125),
    (LATENT_SR, [799], [20], 40),
])
def test_timesteps_of_the_published_runs(stage, first, last, count):
    timesteps = published_timesteps(stage.schedule, stage.steps, stage.denoise)
    assert (timesteps[:len(first)], timesteps[-len(last):], len(timesteps)) == (first, last, count)


def test_timesteps_of_the_recording(golden, recipe):
    assert published_timesteps(KEYFRAMES.schedule, recipe["keyframes"]["steps"]) == golden["cascade.keyframes.timesteps"].tolist()


@pytest.mark.parametrize("stage, first, last", [
    (KEYFRAMES, 160.41, 0.0064272), (PIXEL_SR, 20291, 0.0064272), (LATENT_SR, 5.0878, 0.029167), (FIRST_FRAME, 19.427, 0.0),
])
def test_sigmas_begin_and_end_where_the_official_run_does(stage, first, last):
    sigmas = published_sigmas(stage.schedule, stage.steps, stage.denoise)
    assert float(sigmas[0]) == pytest.approx(first, rel=1e-3) and float(sigmas[-1]) == pytest.approx(last, rel=1e-3)
    assert bool((sigmas.diff() < 0).all())


@pytest.mark.parametrize("steps", [1, 2, 14, 15, 999, 1000])
def test_any_number_of_steps_gives_falling_sigmas(steps):
    for stage in (KEYFRAMES, PIXEL_SR, LATENT_SR):
        sigmas = published_sigmas(stage.schedule, steps)
        assert bool((sigmas.diff() < 0).all()) and len(sigmas) >= 2


@pytest.mark.parametrize("steps, denoise", [(0, 1.0), (1001, 1.0), (10, -0.1), (10, 1.5)])
def test_impossible_runs_are_refused(steps, denoise):
    with pytest.raises(ValueError, match=f"steps is {steps} and denoise {denoise}"):
        published_timesteps(KEYFRAMES.schedule, steps, denoise)


@pytest.mark.parametrize("stage", [KEYFRAMES, INTERPOLATION, FIRST_FRAME, PIXEL_SR, LATENT_SR], ids=lambda stage: stage.name)
@pytest.mark.parametrize("source", [PUBLISHED, GOLDEN], ids=["published", "miniature"])
def test_the_recipe_is_the_published_scheduler_config(stage, source):
    read = Schedule.from_dict(read_json(source / stage.checkpoint / "scheduler" / "scheduler_config.json"))
    unused = {"threshold_ratio": 0} if stage.schedule.threshold_max is None else {}
    assert Schedule(**{**vars(read), **unused}) == Schedule(**{**vars(stage.schedule), **unused})


def test_boundary_values():
    abar = schedules.signal_variance(KEYFRAMES.schedule)
    for timestep, alpha, sigma in ((995, 0.00623376, 0.99998057), (999, 4.92822e-5, 1.0), (0, 0.99997938, 0.00642698)):
        assert float(abar[timestep].sqrt()) == pytest.approx(alpha, rel=2e-4)
        assert float((1 - abar[timestep]).sqrt()) == pytest.approx(sigma, rel=2e-4)


@pytest.mark.parametrize("timestep, signal, noise", [(250, 0.919722, 0.392571), (150, 0.969536, 0.244949)])
def test_noise_augmentation(timestep, signal, noise):
    ones, zeros = torch.ones(2), torch.zeros(2)
    assert float(schedules.add_noise(NOISING, ones, zeros, timestep)[0]) == pytest.approx(signal, abs=1e-6)
    assert float(schedules.add_noise(NOISING, zeros, ones, timestep)[0]) == pytest.approx(noise, abs=1e-6)


def test_random_draws_are_the_official_ones():
    drawn = torch.randn(64, generator=torch.Generator("cpu").manual_seed(345))[:8].half()
    assert drawn.tolist() == [-2.50390625, 0.14013671875, -0.384521484375, 1.3798828125, 0.448486328125, -0.07049560546875,
                              -0.49951171875, -0.662109375]


@pytest.mark.parametrize("shape", [(1, 3, 8, 8, 16), (2, 3, 1, 5, 7), (7, 3, 5, 8, 8)])
@pytest.mark.parametrize("scale", [0.5, 1.2, 4.0])
def test_threshold_is_the_quantile_of_each_frame(shape, scale):
    clip = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * scale
    result = dynamic_threshold(clip, 0.95, 1.5)
    for sample in range(shape[0]):
        for frame in range(shape[2]):
            x = clip[sample, :, frame]
            limit = float(torch.quantile(x.abs().flatten(), 0.95).clamp(1.0, 1.5))
            assert torch.allclose(result[sample, :, frame], x.clamp(-limit, limit) / limit, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 20, 21, 1000])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.95, 1.0])
def test_quantile_equals_torch(count, ratio):
    rows = torch.rand(3, count, generator=torch.Generator().manual_seed(count))
    assert torch.allclose(quantile(rows, ratio), torch.quantile(rows, ratio, dim=-1), atol=1e-6)


def test_the_quantile_needs_no_kthvalue(monkeypatch):
    """PyTorch before 2.9 has none on Apple's GPUs."""
    def missing(*_, **__):
        raise NotImplementedError("aten::kthvalue.values")
    monkeypatch.setattr(torch.Tensor, "kthvalue", missing)
    monkeypatch.setattr(torch, "kthvalue", missing)
    assert float(quantile(torch.arange(5.0)[None], 0.5)) == 2.0


@pytest.mark.parametrize("change", [
    {"_class_name": "EulerDiscreteScheduler"}, {"prediction_type": "v_prediction"}, {"solver_order": 3},
    {"use_karras_sigmas": True},
])
def test_a_scheduler_of_another_model_is_refused(change):
    config = read_json(PUBLISHED / "show-1-base" / "scheduler" / "scheduler_config.json")
    with pytest.raises(ValueError, match=next(iter(change))):
        Schedule.from_dict({**config, **change})


@pytest.mark.parametrize("name", ["final_sigmas_type", None])
def test_the_solver_of_an_older_diffusers_is_asked_for_what_it_knows(monkeypatch, name):
    import diffusers

    asked = {}

    class Older:
        def __init__(self, beta_schedule, beta_start, beta_end, lambda_min_clipped, thresholding, sample_max_value,
                     dynamic_thresholding_ratio, timestep_spacing):
            asked.update(timestep_spacing=timestep_spacing)

    class Newer(Older):
        def __init__(self, final_sigmas_type="zero", **others):
            super().__init__(**others)
            asked.update(final_sigmas_type=final_sigmas_type)

    monkeypatch.setattr(diffusers, "DPMSolverMultistepScheduler", Newer if name else Older)
    schedules.dpm_solver_scheduler(KEYFRAMES.schedule)
    assert asked == {"timestep_spacing": "linspace", **({name: "sigma_min"} if name else {})}
