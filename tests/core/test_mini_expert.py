"""What the comparison of the latent expert with its full-range twin measures and tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mini import expert


@pytest.fixture(scope="module")
def sample() -> expert.Sample:
    return expert.held_out(1)[0]


def test_sharpness_is_of_the_originals_edges(sample):
    assert expert.sharpness(sample.high, sample.high) == pytest.approx(1)
    assert 0.1 < expert.sharpness(expert.enlarged(sample.middle), sample.high) < 0.8


def test_every_clip_is_measured_and_few_are_kept(sample):
    rows, shown = expert.measured(lambda one: one.high * 0.5, [sample] * (expert.SHOWN + 2))
    assert rows.shape == (expert.SHOWN + 2, 2) and len(shown) == expert.SHOWN
    assert rows[:, 1] == pytest.approx(0.5, abs=1e-6)
    assert torch.equal(shown[0], sample.high * 0.5)


def test_differences_are_taken_clip_by_clip():
    """Both vary by far more than they differ, which only pairs show."""
    base = np.array([[20.0, 0.5], [40.0, 0.7], [30.0, 0.6]])
    results = {f"{stage}, denoise {denoise}": base + ahead for stage, ahead in (("one", 1.0), ("other", 0.0))
               for denoise in expert.DENOISE}
    lines = expert.told(results, ["one", "other"]).splitlines()
    assert f"| one, denoise {expert.DENOISE[0]} | 31.00 ± 5.77 | 1.60 ± 0.06 |" in lines
    assert f"| one ahead of other, denoise {expert.DENOISE[-1]} | 1.00 ± 0.00 | 1.00 ± 0.00 |" in lines
