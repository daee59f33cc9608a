"""The Fréchet distance against exact arithmetic, against what is known, and against another library."""

from __future__ import annotations

import time

import mpmath
import pytest
import torch

from show1_core.evaluation import frechet_distance
from show1_core.evaluation.distances import Gaussian, frechet, gaussian, gaussian_of_covariance, merged, whole, without_each
from show1_core.evaluation.scores import GROUPS, Gathered, frechet_score, jackknife_variance


def features(count: int, dimensions: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Correlated features (N, D), float64."""
    drawn = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=drawn, dtype=torch.float64)
    return torch.randn(count, dimensions, generator=drawn, dtype=torch.float64) @ mix + shift


def with_moments(mean: list[float], deviation: list[float], seed: int) -> torch.Tensor:
    """Samples whose mean and covariance are exactly those of independent Gaussians."""
    raw = features(50, len(mean), seed)
    white = torch.linalg.qr(raw - raw.mean(0)).Q * 49 ** 0.5
    return white * torch.tensor(deviation, dtype=torch.float64) + torch.tensor(mean, dtype=torch.float64)


def exact_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """The textbook formula in sixty digits: eigenvalues of sqrt(C1) C2 sqrt(C1)."""
    with mpmath.workdps(60):
        means, covariances = [], []
        for samples in (a, b):
            matrix = mpmath.matrix(samples.tolist())
            count, dimensions = samples.shape
            mean = [mpmath.fsum(matrix[i, j] for i in range(count)) / count for j in range(dimensions)]
            centred = mpmath.matrix(count, dimensions)
            for i in range(count):
                for j in range(dimensions):
                    centred[i, j] = matrix[i, j] - mean[j]
            means.append(mean)
            covariances.append(centred.T * centred / (count - 1))
        values, vectors = mpmath.eigsy(covariances[0])
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values]) * vectors.T
        inner = mpmath.eigsy(root * covariances[1] * root, eigvals_only=True)
        shared = mpmath.fsum(mpmath.sqrt(max(value, 0)) for value in inner)
        step = mpmath.fsum((x - y) ** 2 for x, y in zip(*means, strict=True))
        traces = mpmath.fsum(c[i, i] for c in covariances for i in range(c.rows))
        return float(step + traces - 2 * shared)


@pytest.mark.parametrize("count, other, dimensions", [(30, 25, 4), (6, 6, 10), (5, 9, 12), (2, 2, 3), (12, 7, 1)],
                         ids=["many", "fewer than dimensions", "fewer of one", "two", "one dimension"])
def test_it_is_the_textbooks_in_sixty_digits(count, other, dimensions):
    a, b = features(count, dimensions, 1), features(other, dimensions, 2, 0.5)
    assert frechet_distance(a, b) == pytest.approx(exact_distance(a, b), rel=1e-12)


@pytest.mark.parametrize("means, deviations, expected", [
    (([0, 0], [0, 0]), ([1, 1], [1, 1]), 0.0),
    (([0, 0], [3, 4]), ([1, 1], [1, 1]), 25.0),
    (([0, 0, 0], [1, 1, 2]), ([1, 2, 3], [2, 4, 3]), 11.0),
    (([5], [5]), ([0.5], [2.5]), 4.0),
])
def test_gaussians_of_known_distance(means, deviations, expected):
    a, b = (with_moments(mean, deviation, seed) for seed, (mean, deviation) in enumerate(zip(means, deviations, strict=True)))
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("count, dimensions", [(64, 8), (8, 64)])
def test_it_does_not_depend_on_the_axes_nor_on_the_order(count, dimensions):
    a, b = features(count, dimensions, 1), features(count, dimensions, 2, 1.0)
    turned = torch.linalg.qr(features(dimensions, dimensions, 3)).Q
    expected = frechet_distance(a, b)
    for name, left, right in [("turned", a @ turned, b @ turned), ("moved", a + 7, b + 7), ("swapped", b, a),
                              ("shuffled", a.flip(0), b)]:
        assert frechet_distance(left, right) == pytest.approx(expected, rel=1e-9), name
    assert frechet_distance(a, a) <= 1e-9 * gaussian(a).deviations().square().sum()


@pytest.mark.parametrize("cuts", [[1], [20], [1, 2, 3, 30], [10, 20, 30, 40]])
def test_parts_merge_to_the_whole(cuts):
    samples = features(50, 6, 4, 3.0)
    merged_parts = whole([gaussian(part) for part in samples.tensor_split(cuts)])
    together = gaussian(samples)
    assert merged_parts.count == 50
    assert torch.allclose(merged_parts.mean, together.mean, rtol=1e-12)
    assert torch.allclose(merged_parts.covariance(), together.covariance(), rtol=1e-10)
    assert torch.allclose(merged_parts.covariance(), samples.T.cov(), rtol=1e-10)


@pytest.mark.parametrize("groups", [1, 2, 3, 7])
def test_each_group_is_left_out_once(groups):
    parts = features(42, 3, 5).tensor_split(groups)
    rest = without_each([gaussian(part) for part in parts])
    assert len(rest) == (groups if groups > 1 else 0)
    for number, left in enumerate(rest):
        others = torch.cat([part for place, part in enumerate(parts) if place != number])
        assert torch.allclose(left.covariance(), others.T.cov(), rtol=1e-10) and left.count == len(others)


def test_a_covariance_from_a_file_is_as_good_as_its_samples():
    a, b = features(40, 6, 1), features(5, 6, 2)
    saved = [gaussian_of_covariance(g.count, g.mean, g.covariance()) for g in map(gaussian, (a, b))]
    assert frechet(*saved) == pytest.approx(frechet_distance(a, b), rel=1e-7)


@pytest.mark.parametrize("wrong, sentence", [
    (torch.zeros(3), r"shape \(3,\)"), (torch.zeros(0, 3), "1 sample or more"), (torch.zeros(1, 3), "1 sample has no covariance"),
    (torch.full((4, 3), float("nan")), "NaN"), (torch.zeros(4, 5), "3 and 5 dimensions|5 and 3 dimensions")])
def test_what_has_no_distance_is_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        frechet_distance(wrong, features(4, 3, 1))


class Network(torch.nn.Module):
    """Pictures uint8 (N, 3, H, W) -> features (N, D), random."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(3)
        self.weight = torch.randn(6, 3, 4, 4, generator=drawn, dtype=torch.float64)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(pictures.double() / 255, self.weight).relu().mean((2, 3))


def test_fid_is_that_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is in the test extra")
    network, drawn = Network(), torch.Generator().manual_seed(1)
    real, generated = (torch.randint(low, 256, (64, 3, 16, 16), generator=drawn, dtype=torch.uint8) for low in (0, 40))
    theirs = fid.FrechetInceptionDistance(feature=network, input_img_size=(3, 16, 16)).set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(generated, real=False)
    assert frechet_distance(network(generated), network(real)) == pytest.approx(float(theirs.compute()), rel=1e-6)


@pytest.mark.parametrize("rows", [1, 3])
def test_clips_are_gathered_in_memory_that_does_not_grow(rows, monkeypatch):
    monkeypatch.setattr("show1_core.evaluation.scores.FOLD", 8)
    samples = features(120 * rows, 4, 6)
    gathered, most = Gathered(), 0
    for clip in samples.split(rows):
        gathered.add(clip)
        most = max(most, sum(map(len, gathered._waiting[gathered.clips % GROUPS])))
    assert (gathered.clips, gathered.rows, len(gathered.groups())) == (120, 120 * rows, GROUPS) and most <= 8
    assert torch.allclose(whole(gathered.groups()).covariance(), samples.T.cov(), rtol=1e-9)


def test_the_standard_error_is_the_spread_of_repeated_measurements():
    """Over 24 draws of both sets; a jackknife of ten groups is itself right to about a quarter."""
    found, errors = [], []
    for seed in range(24):
        drawn = torch.Generator().manual_seed(seed)
        sets = []
        for shift in (0.0, 0.5):
            gathered = Gathered()
            for clip in torch.randn(200, 1, 5, generator=drawn) + shift:
                gathered.add(clip)
            sets.append(gathered.groups())
        score = frechet_score(*sets, clips=200)
        found.append(score.value)
        errors.append(score.error)
    assert float(torch.tensor(found).std()) == pytest.approx(sum(errors) / len(errors), rel=0.4)


def test_a_set_known_by_its_covariance_alone_adds_no_error():
    groups = [gaussian(part) for part in features(40, 3, 1).tensor_split(10)]
    real = gaussian(features(40, 3, 2))
    expected = jackknife_variance([frechet(rest, real) for rest in without_each(groups)]) ** 0.5
    assert frechet_score(groups, [real], 40).error == pytest.approx(expected) and expected > 0


def test_two_thousand_clips_take_two_seconds():
    """Alone on two cores it takes about 0.3 s; the bound is of CPU time, and five times the two seconds for a busy machine."""
    a, b = (torch.randn(2048, 400, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    began, wall = time.process_time(), time.monotonic()
    distance = frechet_distance(a, b)
    print(f"{time.process_time() - began:.2f} s of CPU time, {time.monotonic() - wall:.2f} s")
    assert time.process_time() - began < 10
    assert 25 < distance < 60  # what remains of two equal distributions at this number of samples


def test_merging_needs_no_samples():
    one = Gaussian(1, torch.zeros(2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    two = Gaussian(1, torch.tensor([2.0, 0.0], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    assert torch.allclose(merged(one, two).covariance(), torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64))
