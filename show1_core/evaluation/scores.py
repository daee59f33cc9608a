"""The metrics, from features that are already there: a value, and its standard error by resampling clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .distances import Gaussian, frechet, gaussian, merged, whole, without_each

GROUPS = 10  # parts of a set that are left out in turn; the error is itself right to about a quarter
FOLD = 4096  # samples that wait before they are folded into a group's Gaussian: what bounds the memory
SPLITS, SPLIT_SEED = 10, 42  # as in the published Inception scores of videos


@dataclass(frozen=True)
class Score:
    """A metric over `clips` clips and its standard error; `notes` are what else is usually printed with it."""

    value: float
    error: float
    clips: int
    notes: dict[str, float] = field(default_factory=dict)


class Gathered:
    """Features of a set as `GROUPS` Gaussians, clip by clip, in memory that does not grow with the clips."""

    def __init__(self) -> None:
        self.clips = self.rows = 0
        self._groups: list[Gaussian | None] = [None] * GROUPS
        self._waiting: list[list[Tensor]] = [[] for _ in range(GROUPS)]

    def add(self, features: Tensor) -> None:
        """Features (R, D) of the next clip: one row of a video network, a row a frame of an image network."""
        group = self.clips % GROUPS
        self._waiting[group].append(features)
        self.clips += 1
        self.rows += len(features)
        if sum(map(len, self._waiting[group])) >= FOLD:
            self._fold(group)

    def groups(self) -> list[Gaussian]:
        """What was gathered; groups without a clip are left out."""
        for group in range(GROUPS):
            self._fold(group)
        return [group for group in self._groups if group is not None]

    def _fold(self, group: int) -> None:
        if self._waiting[group]:
            new, old = gaussian(torch.cat(self._waiting[group])), self._groups[group]
            self._groups[group] = new if old is None else merged(old, new)
            self._waiting[group] = []


def jackknife_variance(left_out: Sequence[float]) -> float:
    """The variance of a statistic from its values with one group of clips left out each (0 for fewer than two)."""
    if len(left_out) < 2:
        return 0.0
    values = np.asarray(left_out)
    return float((len(values) - 1) / len(values) * np.square(values - values.mean()).sum())


def frechet_score(generated: Sequence[Gaussian], real: Sequence[Gaussian], clips: int) -> Score:
    """FVD or FID-vid; a set that is one Gaussian alone adds nothing to the error, for there is nothing to leave out."""
    drawn, wanted = whole(generated), whole(real)
    variance = (jackknife_variance([frechet(rest, wanted) for rest in without_each(generated)])
                + jackknife_variance([frechet(drawn, rest) for rest in without_each(real)]))
    return Score(frechet(drawn, wanted), variance ** 0.5, clips)


def inception_score(probabilities: Tensor, splits: int = SPLITS) -> Score:
    """The Inception score of class probabilities (N, C): exp of the mean KL to their mean, averaged over splits of a shuffle.

    Salimans et al. 2016. The note `deviation` is the standard deviation over the splits, which papers print behind the +-.
    Raises ValueError for fewer clips than splits.
    """
    count = len(probabilities)
    if count < splits:
        raise ValueError(f"the Inception score has {count} clips; it needs {splits} or more, one for each split.")
    order = np.arange(count)
    np.random.RandomState(SPLIT_SEED).shuffle(order)
    shuffled = probabilities.double().cpu()[torch.from_numpy(order)]
    bounds = [number * count // splits for number in range(splits + 1)]
    parts = [shuffled[start:end] for start, end in zip(bounds, bounds[1:])]
    values = np.array([float(torch.exp(divergence(part))) for part in parts])
    deviation = float(values.std())
    error = deviation / (splits - 1) ** 0.5 if splits > 1 else 0.0
    return Score(float(values.mean()), error, count, {"deviation": deviation})


def divergence(probabilities: Tensor) -> Tensor:
    """The mean KL divergence of rows (N, C) from their mean; a class that nothing shows counts nothing."""
    mean = probabilities.mean(0, keepdim=True)
    return (torch.xlogy(probabilities, probabilities) - torch.xlogy(probabilities, mean)).sum(1).mean()


def mean_score(values: Sequence[float]) -> Score:
    """The mean over clips; its error is that of the mean."""
    exact = np.asarray(values, dtype=np.float64)
    error = float(exact.std(ddof=1) / len(exact) ** 0.5) if len(exact) > 1 else 0.0
    return Score(float(exact.mean()), error, len(exact))


def similarity(frames: Tensor, text: Tensor) -> float:
    """CLIPSIM of a clip: the mean cosine of its frames (F, D) with its text (D,)."""
    return float((unit(frames) @ unit(text)).mean())


def consistency(frames: Tensor) -> float:
    """The mean cosine of neighbouring frames (F, D). Raises ValueError for fewer than two frames."""
    if len(frames) < 2:
        raise ValueError(f"frame consistency has {len(frames)} frame; it compares neighbours, so give 2 or more.")
    exact = unit(frames)
    return float((exact[1:] * exact[:-1]).sum(1).mean())


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1, float64."""
    return torch.nn.functional.normalize(vectors.double(), dim=-1)
