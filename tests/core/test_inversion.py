"""The noise of a clip: backwards along the published timesteps, forwards again, and between two noises."""

from __future__ import annotations

import pytest
import torch
from recording import error

from show1_core import sampling, schedule
from show1_core.stages import KEYFRAMES
from show1_core.tuning import inversion

SCHEDULE = KEYFRAMES.schedule
CLIP = torch.rand((1, 3, 4, 8, 8), generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
FRESH = torch.randn(CLIP.shape, generator=torch.Generator().manual_seed(1))


def gaussian(mean: torch.Tensor, spread: float) -> sampling.Denoise:
    """The best guess where clips are normal around a mean: its flow is known in closed form."""
    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return mean + spread**2 / (spread**2 + sigma**2) * (x - mean)
    return denoise


def test_sigmas_are_those_of_the_published_run_backwards():
    sigmas = inversion.rising_sigmas(SCHEDULE, 75)
    assert torch.equal(sigmas.flip(0), schedule.published_sigmas(SCHEDULE, 75)) and float(sigmas[-1]) > 100


@pytest.mark.parametrize(("steps", "most"), [(20, 0.25), (75, 0.08), (300, 0.03)])
def test_the_noise_is_that_of_the_flow(steps, most):
    mean, spread = CLIP * 0.3, 0.5
    sigmas = inversion.rising_sigmas(SCHEDULE, steps).tolist()
    found = inversion.invert(gaussian(mean, spread), CLIP, sigmas)
    growth = ((spread**2 + sigmas[-1]**2) / (spread**2 + sigmas[0]**2)) ** 0.5
    exact = (mean + growth * (CLIP - mean)) * schedule.signal_scale(sigmas[-1])
    assert error(found, exact) < most


def test_forwards_again_it_is_the_clip():
    denoise, sigmas = gaussian(CLIP * 0.3, 0.5), inversion.rising_sigmas(SCHEDULE, 100).tolist()
    noise = inversion.invert(denoise, CLIP, sigmas)
    start = noise / schedule.signal_scale(sigmas[-1])
    assert error(sampling.dpm_solver(denoise, start, sigmas[::-1]), CLIP) < 0.1


@pytest.mark.parametrize("prior", [0.0, 0.3, 0.5, 1.0])
def test_a_blend_keeps_the_power_and_its_ends_are_its_parts(prior):
    inverted = torch.randn(CLIP.shape, generator=torch.Generator().manual_seed(2))
    blend = inversion.blended(inverted, FRESH, prior)
    assert float(blend.std()) == pytest.approx(1, abs=0.06)
    if prior in (0.0, 1.0):
        assert torch.equal(blend, FRESH if prior == 0.0 else inverted)


@pytest.mark.parametrize("prior", [-0.1, 1.1, float("nan")])
def test_a_prior_outside_of_its_range_is_refused(prior):
    with pytest.raises(ValueError, match="prior is .*expected a number from 0"):
        inversion.blended(FRESH, FRESH, prior)


def test_progress_is_told_of_every_step():
    told, sigmas = [], inversion.rising_sigmas(SCHEDULE, 5).tolist()
    inversion.invert(gaussian(CLIP, 0.5), CLIP, sigmas, lambda k, n, x: told.append((k, n)))
    assert told == [(k, 5) for k in range(5)]
