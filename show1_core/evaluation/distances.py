"""The Fréchet distance between two sets of features, from their centred samples and without a square root of a matrix.

With A, B the centred samples over sqrt(n - 1), and ' for transposed, the covariances are A'A and B'B, and the trace of
sqrt(A'A B'B) is the sum of the singular values of A B'. That is exact for fewer samples than dimensions too, where a
matrix square root is not. Sets are gathered in parts: each part is a mean and a triangular root of its scatter, which
merge by one QR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """`count` samples by their mean (D,) and a root (R, D) of their scatter, float64.

    The scatter is the sum of (x - mean)(x - mean)', which is root' root.
    """

    count: int
    mean: Tensor
    root: Tensor

    def covariance(self) -> Tensor:
        """The unbiased covariance (D, D). Raises ValueError for a single sample."""
        return self.deviations().T @ self.deviations()

    def deviations(self) -> Tensor:
        """A root (R, D) of the unbiased covariance. Raises ValueError for a single sample."""
        if self.count < 2:
            raise ValueError(f"{self.count} sample has no covariance; give 2 or more.")
        return self.root / (self.count - 1) ** 0.5


def gaussian(features: Tensor) -> Gaussian:
    """Features (N, D), finite. Raises ValueError for any other shape, and for NaN or infinity."""
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features have shape {tuple(features.shape)}; expected samples by dimensions, 1 sample or more.")
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features hold NaN or infinity; look at the network and at the clips.")
    exact = features.detach().double().cpu()
    mean = exact.mean(0)
    return Gaussian(len(exact), mean, triangular(exact - mean))


def gaussian_of_covariance(count: int, mean: Tensor, covariance: Tensor) -> Gaussian:
    """The Gaussian with a mean (D,) and an unbiased covariance (D, D), as statistics files keep it."""
    values, vectors = torch.linalg.eigh(covariance.double())
    root = (values.clamp(min=0) * (count - 1)).sqrt()[:, None] * vectors.T
    return Gaussian(count, mean.double(), root)


def triangular(root: Tensor) -> Tensor:
    """The same scatter (R, D) in D rows at most."""
    return torch.linalg.qr(root, mode="r").R if len(root) > root.shape[1] else root


def merged(first: Gaussian, second: Gaussian) -> Gaussian:
    """Both sets as one, exactly (Chan, Golub and LeVeque 1979)."""
    count = first.count + second.count
    step = second.mean - first.mean
    between = (first.count * second.count / count) ** 0.5 * step
    return Gaussian(count, first.mean + step * (second.count / count),
                    triangular(torch.cat([first.root, second.root, between[None]])))


def without_each(groups: Sequence[Gaussian]) -> list[Gaussian]:
    """For each group all the others as one; empty when there is no other."""
    if len(groups) < 2:
        return []
    before, after = [groups[0]], [groups[-1]]
    for number in range(1, len(groups) - 1):
        before.append(merged(before[-1], groups[number]))
        after.append(merged(groups[-1 - number], after[-1]))
    inner = [merged(left, right) for left, right in zip(before[:-1], reversed(after[:-1]), strict=True)]
    return [after[-1], *inner, before[-1]]


def frechet(first: Gaussian, second: Gaussian) -> float:
    """|mean - mean|^2 + trace(C1 + C2 - 2 sqrt(C1 C2)), never below 0. Raises ValueError for sets of different dimensions."""
    if first.mean.shape != second.mean.shape:
        raise ValueError(f"features have {len(first.mean)} and {len(second.mean)} dimensions; both sets need the same network.")
    a, b = first.deviations(), second.deviations()
    shared = torch.linalg.svdvals(a @ b.T).sum()
    return max(float((first.mean - second.mean).square().sum() + a.square().sum() + b.square().sum() - 2 * shared), 0.0)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance of features (N, D) and (M, D), in float64 (Heusel et al. 2017, equation 6). Raises ValueError."""
    return frechet(gaussian(a), gaussian(b))


def whole(groups: Sequence[Gaussian]) -> Gaussian:
    """All groups as one."""
    return reduce(merged, groups)
