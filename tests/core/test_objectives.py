"""Each objective against its equation."""

import math

import pytest
import torch

from show1_core.cascade import pair_condition
from show1_core.schedule import Schedule, signal_variance
from show1_core.tuning import objectives as goal

ABAR = signal_variance(Schedule("squaredcos_cap_v2"))


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_noised_is_equation_1():
    clean, noise = normal(2, 3, 4, 5, 6), normal(2, 3, 4, 5, 6, seed=1)
    timestep = torch.tensor([10, 900])
    result = goal.noised(clean, noise, timestep, ABAR)
    for row, t in enumerate((10, 900)):
        expected = math.sqrt(ABAR[t]) * clean[row] + math.sqrt(1 - ABAR[t]) * noise[row]
        torch.testing.assert_close(result[row], expected)


def test_noise_prediction_is_the_mean_squared_error_of_the_noise_channels():
    noise = normal(2, 3, 4, 5, 6)
    prediction = torch.cat([noise + 0.5, normal(2, 3, 4, 5, 6, seed=2) * 100], dim=1)
    assert goal.noise_prediction(prediction, noise).item() == pytest.approx(0.25, rel=1e-5)


def test_weights_scale_each_sample():
    noise = torch.zeros(2, 1, 1, 1, 1)
    prediction = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1, 1)
    assert goal.noise_prediction(prediction, noise, torch.tensor([3.0, 5.0])).item() == pytest.approx((3 * 1 + 5 * 4) / 2)


def test_the_weight_makes_a_velocity_error_of_a_noise_error():
    clean, noise, other = normal(1, 2, 3), normal(1, 2, 3, seed=1), normal(1, 2, 3, seed=2)
    for t in (100, 500, 900):
        signal, rest = ABAR[t].sqrt(), (1 - ABAR[t]).sqrt()
        sample = signal * clean + rest * noise

        velocity, truth = (signal * epsilon - rest * (sample - rest * epsilon) / signal for epsilon in (other, noise))
        expected = (velocity - truth).square().mean()
        weight = goal.velocity_weight(ABAR, floor=0.0)[t]
        torch.testing.assert_close(weight * (other - noise).square().mean(), expected, rtol=1e-4, atol=0)


def test_the_floor_bounds_the_weight():
    assert goal.velocity_weight(ABAR, floor=0.005).max() <= 201


def test_timesteps_are_spread_over_the_range():
    generator = torch.Generator().manual_seed(0)
    drawn = goal.timesteps(100, generator)
    assert sorted(int(t) // 10 for t in drawn) == list(range(100))


def test_late_timesteps_come_more_often():
    drawn = goal.timesteps(1000, torch.Generator().manual_seed(0), late=0.5)
    assert (drawn >= 900).float().mean().item() == pytest.approx(0.5 + 0.5 * 0.19, abs=0.01)
    assert (drawn >= 500).float().mean().item() == pytest.approx(0.5 + 0.5 * 0.75, abs=0.01)


def test_the_expert_never_sees_the_last_tenth():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([goal.timesteps(16, generator, goal.EXPERT_TIMESTEPS) for _ in range(200)])
    assert drawn.min() >= 0 and 850 < drawn.max() < 900


def test_text_is_dropped_where_it_is_not_kept():
    text, empty = normal(3, 7, 4), normal(1, 7, 4, seed=1)
    result = goal.drop_text(text, empty, torch.tensor([True, False, True]))
    assert torch.equal(result[0], text[0]) and torch.equal(result[1], empty[0])


def test_interpolation_condition_is_a_blend_and_a_mask():
    ends = normal(2, 3, 2, 4, 6)
    condition = pair_condition(ends)
    assert condition.shape == (2, 4, 5, 4, 6)
    for frame, share in enumerate((0, 0.25, 0.5, 0.75, 1)):
        torch.testing.assert_close(condition[:, :3, frame], ends[:, :, 0] * (1 - share) + ends[:, :, 1] * share)
        assert condition[:, 3, frame].unique().item() == float(frame in (0, 4))


def test_the_first_frame_is_clean_where_it_is_known():
    condition, first = normal(2, 3, 8, 4, 6), normal(2, 3, 1, 4, 6, seed=1)
    result = goal.with_first_frame(condition, first, torch.tensor([True, False]))
    assert torch.equal(result[0, :, :1], first[0]) and torch.equal(result[1], condition[1])
    assert torch.equal(result[:, :, 1:], condition[:, :, 1:])


def test_posterior_is_that_of_the_published_sampler():
    from show1_core.schedule import ddpm_scheduler

    scheduler = ddpm_scheduler(Schedule("squaredcos_cap_v2", threshold_max=1.0, solver="ddpm", learned_variance=True))
    scheduler.set_timesteps(1000)
    clean, noise, timestep = normal(1, 3, 4, 6).clamp(-1, 1), normal(1, 3, 4, 6, seed=1), 400
    sample = goal.noised(clean, noise, torch.tensor([timestep]), ABAR)
    mean, low, high = goal.posterior(clean, sample, torch.tensor([timestep]), ABAR)
    # v = -1 asks for the smallest variance; without noise in its step the sampler returns the mean
    generator = torch.Generator().manual_seed(3)
    step = scheduler.step(torch.cat([noise, -torch.ones_like(noise)], 1), timestep, sample, generator=generator).prev_sample
    drawn = torch.randn(sample.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(step, mean + (0.5 * low).exp() * drawn, rtol=1e-3, atol=1e-4)
    assert (low < high).all()


def test_learned_variance_vanishes_at_the_truth():
    clean, noise = normal(1, 3, 4, 6).clamp(-1, 1), normal(1, 3, 4, 6, seed=1)
    timestep = torch.tensor([500])
    sample = goal.noised(clean, noise, timestep, ABAR)
    right = goal.learned_variance(torch.cat([noise, -torch.ones_like(noise)], 1), sample, clean, timestep, ABAR)
    wrong = goal.learned_variance(torch.cat([noise, torch.ones_like(noise)], 1), sample, clean, timestep, ABAR)
    assert right.item() == pytest.approx(0, abs=1e-5) and wrong > right


@torch.enable_grad()
def test_learned_variance_moves_the_variance_channels_only():
    prediction = normal(1, 6, 4, 6).requires_grad_()
    sample, clean = normal(1, 3, 4, 6, seed=1), normal(1, 3, 4, 6, seed=2).clamp(-1, 1)
    goal.learned_variance(prediction, sample, clean, torch.tensor([500]), ABAR).backward()
    assert prediction.grad[:, :3].abs().max() == 0 and prediction.grad[:, 3:].abs().max() > 0


def test_learned_variance_is_finite_at_the_last_step():
    clean = normal(2, 3, 4, 6).clamp(-1, 1)
    value = goal.learned_variance(normal(2, 6, 4, 6), clean, clean, torch.tensor([0, 1]), ABAR)
    assert torch.isfinite(value)


def test_divergence_from_the_normal_distribution():
    assert goal.kl_to_normal(torch.zeros(4), torch.zeros(4)).item() == 0
    mean, log_variance = torch.tensor([0.7]), torch.tensor([-0.4])
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()), torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(goal.kl_to_normal(mean, log_variance), expected.mean())


def test_psnr():
    assert goal.psnr(torch.zeros(10), torch.full((10,), 0.2)) == pytest.approx(20.0)


def frames_of(clip):
    """The residual of each pair of neighbours as one long vector."""
    return [(clip[0, :, n + 1] - clip[0, :, n]).flatten() for n in range(clip.shape[2] - 1)]


def test_residual_cosine_is_equation_17():
    guess, noise = normal(1, 3, 5, 4, 6), normal(1, 3, 5, 4, 6, seed=1)
    cosines = [float(a @ b / (a.norm() * b.norm())) for a, b in zip(frames_of(guess), frames_of(noise))]
    assert float(goal.residual_cosine(guess, noise)) == pytest.approx(1 - sum(cosines) / len(cosines), abs=1e-6)


def test_residual_cosine_over_time_looks_at_one_pixel_at_a_time():
    guess, noise = normal(1, 3, 5, 4, 6), normal(1, 3, 5, 4, 6, seed=1)
    total = 0.0
    for c, y, x in [(c, y, x) for c in range(3) for y in range(4) for x in range(6)]:
        a, b = guess[0, c, :, y, x].diff().abs(), noise[0, c, :, y, x].diff().abs()
        total += float(a @ b / (a.norm() * b.norm()))
    assert float(goal.residual_cosine_over_time(guess, noise)) == pytest.approx(1 - total / 72, abs=1e-6)


@pytest.mark.parametrize("loss", [goal.residual_cosine, goal.residual_cosine_over_time])
def test_what_frames_share_does_not_count_in_the_cosines(loss):
    guess, noise, shared = normal(1, 3, 5, 4, 6), normal(1, 3, 5, 4, 6, seed=1), normal(1, 3, 1, 4, 6, seed=2)
    torch.testing.assert_close(loss(guess + shared, noise), loss(guess, noise), atol=1e-5, rtol=0)
    assert float(loss(noise, noise)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("signal", "weight"), [(0.5, 1.0), (0.8, 0.25), (1e-8, 100.0)])
def test_residual_error_is_equation_16_up_to_its_cap(signal, weight):
    guess, noise = normal(1, 3, 5, 4, 6), normal(1, 3, 5, 4, 6, seed=1)
    expected = weight * sum(float((a - b).square().mean()) for a, b in zip(frames_of(guess), frames_of(noise))) / 4
    assert float(goal.residual_error(guess, noise, torch.tensor([signal]))) == pytest.approx(expected, rel=1e-5)


def test_debiased_adds_the_error_of_what_is_left_without_the_anchor():
    guess, noise, beta = normal(1, 3, 5, 4, 6), normal(1, 3, 5, 4, 6, seed=1), 1.0
    error = guess - noise
    left = math.sqrt(beta**2 + 1) * error - beta * error[:, :, 2:3]
    expected = float(error.square().mean() + left.square().mean())
    assert float(goal.debiased(guess, noise, anchor=2)) == pytest.approx(expected, rel=1e-5)
