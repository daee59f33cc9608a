"""What the stages of the cascade are trained to do, each as a small pure function.

They serve the published UNets as well as the mini. Clips are (B, C, F, H, W) in [-1, 1], images (B, C, H, W);
timesteps are (B,) integers 0..999; `abar` is the (1000,) table of the signal's variance.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import schedule

EXPERT_TIMESTEPS = 900  # the latent expert knows the last nine tenths of the noise only (paper, section 3.4)


def at(table: Tensor, timestep: Tensor, like: Tensor) -> Tensor:
    """Entries of a (1000,) table for each sample, shaped (B, 1, ...) to scale `like`."""
    return table[timestep].reshape(-1, *[1] * (like.ndim - 1)).to(like)


def noised(clean: Tensor, noise: Tensor, timestep: Tensor, abar: Tensor) -> Tensor:
    """x_t of timesteps (B,), in the shape of `clean` (paper eq. 1)."""
    return schedule.noised(clean, noise, abar[timestep])


def timesteps(count: int, generator: torch.Generator, last: int = 1000, late: float = 0.0) -> Tensor:
    """(count,) timesteps 0..last-1, one from each of `count` equally likely parts of the range, in random order.

    Stratified: every batch covers the range, which takes noise out of the loss without changing its mean.
    With last=900 these are the timesteps of the latent expert. A share `late` comes from the last tenth, where a
    prompt is turned into a layout; of the others twice as many from the noisy half as a flat choice would take.
    For late = 0 the choice is flat.
    """
    inside = torch.rand(count, generator=generator)
    place = (torch.randperm(count, generator=generator) + inside) / count  # (count,) in [0, 1)
    if late:
        rest = (place / (1 - late)).clamp(max=1.0).sqrt()
        place = torch.where(place < 1 - late, rest, 0.9 + 0.1 * (place - (1 - late)) / late)
    return (place * last).long().clamp(max=last - 1)


def velocity_weight(abar: Tensor, floor: float) -> Tensor:
    """(1000,) weights 1 + 1 / (SNR + floor) of the noise loss, SNR = abar / (1 - abar).

    With floor = 0 this is the squared error of the velocity written as a weight of the noise error (Salimans and
    Ho 2022, section 4). Unweighted, timesteps of nearly pure noise hardly count, and what a prompt says is decided
    there; `floor` keeps the very last ones from outweighing all others.
    """
    snr = abar / (1 - abar)
    return 1 + 1 / (snr + floor)


def noise_prediction(prediction: Tensor, noise: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of w ||eps - eps_theta||^2 (paper eq. 5); channels beyond the noise's (variances) are left alone.

    weight: (B,) or None for 1. Returns a scalar.
    """
    error = (prediction[:, : noise.shape[1]].float() - noise).square().flatten(1).mean(dim=1)
    return error.mean() if weight is None else (error * weight).mean()


def drop_text(text: Tensor, empty: Tensor, keep: Tensor) -> Tensor:
    """Text states (B, L, D) with those of "" (1, L, D) in place where `keep` (B,) is False: for guidance."""
    return torch.where(keep[:, None, None], text, empty)


def with_first_frame(condition: Tensor, first: Tensor, known: Tensor) -> Tensor:
    """The condition with its first frame replaced by the clean large one (B, C, 1, H, W) where `known` (B,) (numerics T11)."""
    start = torch.where(known[:, None, None, None, None], first, condition[:, :, :1])
    return torch.cat([start, condition[:, :, 1:]], dim=2)


def posterior(clean: Tensor, sample: Tensor, timestep: Tensor, abar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, log of the smallest and log of the largest variance of x_{t-1} given x_t and x_0 (Ho et al. 2020, eq. 6-7)."""
    now = at(abar, timestep, sample)
    before = torch.where(at(timestep, torch.arange(len(timestep)), sample) > 0, at(abar, (timestep - 1).clamp(min=0), sample), 1)
    beta = 1 - now / before
    mean = before.sqrt() * beta / (1 - now) * clean + (now / before).sqrt() * (1 - before) / (1 - now) * sample
    smallest = (beta * (1 - before) / (1 - now)).clamp(min=1e-20)
    return mean, smallest.log(), beta.log()


def learned_variance(prediction: Tensor, sample: Tensor, clean: Tensor, timestep: Tensor, abar: Tensor) -> Tensor:
    """KL divergence of the predicted from the true step x_t -> x_{t-1}, in nats a value (Nichol and Dhariwal 2021, eq. 15-16).

    prediction (B, 2C, ...) holds noise and v; the log variance is v' log beta + (1 - v') log beta~ with v' = (v+1)/2.
    The mean is held fixed, so only the variance channels learn from it. Returns a scalar.
    """
    channels = clean.shape[1]
    noise, spread = prediction[:, :channels].detach().float(), prediction[:, channels:].float()
    signal = at(abar, timestep, sample)
    guess = ((sample - (1 - signal).sqrt() * noise) / signal.sqrt()).clamp(-1, 1)
    true_mean, low, high = posterior(clean, sample, timestep, abar)
    mean, _, _ = posterior(guess, sample, timestep, abar)
    fraction = (spread + 1) / 2
    log_variance = fraction * high + (1 - fraction) * low
    divergence = 0.5 * (log_variance - low - 1 + (low - log_variance).exp() + (true_mean - mean).square() * (-log_variance).exp())
    # At t = 0 there is no step to take; the smallest variance is zero there and the term has no meaning.
    later = at(timestep, torch.arange(len(timestep)), sample) > 0
    return torch.where(later, divergence, 0).mean()


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) in nats a latent value, averaged."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def psnr(result: Tensor, truth: Tensor, peak: float = 2.0) -> float:
    """Peak signal to noise ratio in dB; peak = 2 for values in [-1, 1]."""
    return 10 * math.log10(peak**2 / max(float((result - truth).square().mean()), 1e-12))


def residuals(clip: Tensor) -> Tensor:
    """What changes from frame to frame: (B, C, F, H, W) -> (B, C, F-1, H, W)."""
    return clip[:, :, 1:] - clip[:, :, :-1]


def residual_cosine(prediction: Tensor, noise: Tensor) -> Tensor:
    """Mean of 1 - cos(d eps^n, d eps_theta^n), each residual one vector of C*H*W numbers (Jeong et al. 2023, eq. 17)."""
    predicted, true = (residuals(each).transpose(1, 2).flatten(2) for each in (prediction, noise))  # (B, F-1, C*H*W)
    return 1 - F.cosine_similarity(predicted, true, dim=2).mean()


def residual_cosine_over_time(prediction: Tensor, noise: Tensor) -> Tensor:
    """As the code of the same paper has it: of absolute residuals, one vector of F-1 numbers for each channel and pixel."""
    return 1 - F.cosine_similarity(residuals(prediction).abs(), residuals(noise).abs(), dim=2).mean()


def residual_error(prediction: Tensor, noise: Tensor, signal: Tensor, most: float = 100.0) -> Tensor:
    """Mean of (1 - abar) / abar ||d eps^n - d eps_theta^n||^2 (Jeong et al. 2023, eq. 16), the weight at most `most`.

    signal: abar of each sample, (B,). Without a cap the noisiest timesteps, whose weight goes to 1e8, would be all there is.
    """
    weight = ((1 - signal) / signal).clamp(max=most)
    return ((residuals(prediction) - residuals(noise)).square().flatten(1).mean(dim=1) * weight).mean()


def debiased(prediction: Tensor, noise: Tensor, anchor: int, beta: float = 1.0) -> Tensor:
    """The noise's squared error, and that of phi(eps) = sqrt(beta^2 + 1) eps - beta eps[anchor]: appearance, which frames
    share, counts less in the second (Zhao et al. 2023, arXiv 2310.08465, section 3.2)."""
    def phi(eps: Tensor) -> Tensor:
        return math.sqrt(beta**2 + 1) * eps - beta * eps[:, :, anchor:anchor + 1]

    return F.mse_loss(prediction, noise) + F.mse_loss(phi(prediction), phi(noise))
