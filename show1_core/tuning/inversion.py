"""DDIM inversion: the noise that a clip would have been drawn from (Song et al. 2021, section 4.3).

The way is walked on the model's own schedule. (The code of VMC walks it on Stable Diffusion's, which the keyframe model was
not trained with.)
"""

from __future__ import annotations

from torch import Tensor

from ..sampling import Denoise, Progress, silent
from ..schedule import Schedule, published_sigmas, signal_scale


def rising_sigmas(schedule: Schedule, steps: int) -> Tensor:
    """The sigmas of the published run of `steps` steps, backwards: from the clip at timestep 0 to noise."""
    return published_sigmas(schedule, steps).flip(0)


def invert(denoise: Denoise, clip: Tensor, sigmas: list[float], progress: Progress = silent) -> Tensor:
    """The noise of a clip (B, C, F, H, W), of about unit power, along rising sigmas, with `denoise(x, sigma)` without guidance.

    Each step takes the noise that the model sees at the level where the step ends, as DDIM's inversion does.
    """
    x, steps = clip, len(sigmas) - 1
    for k, (now, after) in enumerate(zip(sigmas, sigmas[1:])):
        scaled = x * (signal_scale(now) / signal_scale(after))  # of the power that is expected there
        denoised = denoise(scaled, after)
        x = x + (after - now) * (scaled - denoised) / after
        progress(k, steps, denoised)
    return x * signal_scale(sigmas[-1])


def blended(inverted: Tensor, fresh: Tensor, prior: float) -> Tensor:
    """sqrt(p) inverted + sqrt(1 - p) fresh, of unit power like both (arXiv 2310.08465, section 3.3). `prior` p is in 0..1.

    With p = 1 the start remembers how the clip looked as well as how it moved.
    """
    check_prior(prior)
    return prior**0.5 * inverted + (1 - prior) ** 0.5 * fresh.to(inverted)


def check_prior(prior: float) -> None:
    """Raises ValueError for what is no share."""
    if not 0.0 <= prior <= 1.0:
        raise ValueError(f"prior is {prior}; expected a number from 0, fresh noise, to 1, the clip's own.")
