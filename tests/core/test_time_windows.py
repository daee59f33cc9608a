"""Windows of time: where they lie, and that one clip comes of them without a jump."""

from __future__ import annotations

import pytest
import torch

from show1_core.time_windows import over_windows, spans


@pytest.mark.parametrize("frames, length, overlap, expected", [
    (8, 8, 2, [(0, 8)]), (5, 8, 2, [(0, 5)]), (1, 8, 2, [(0, 1)]), (14, 8, 2, [(0, 8), (6, 14)]),
    (16, 8, 2, [(0, 8), (6, 14), (8, 16)]), (9, 8, 2, [(0, 8), (1, 9)]), (12, 4, 0, [(0, 4), (4, 8), (8, 12)])])
def test_every_frame_is_in_a_window(frames, length, overlap, expected):
    assert spans(frames, length, overlap) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_where_windows_agree_the_clip_is_what_they_say(dtype):
    clip = torch.randn(2, 4, 21, 3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    out = over_windows(lambda span: clip[:, :, span] * 2, 21, 8, 2)
    assert out.dtype == dtype and torch.allclose(out, clip * 2, rtol=1e-3 if dtype == torch.float16 else 1e-6)


def test_where_they_disagree_one_fades_into_the_next():
    """Windows that say their own number: in the middle it is theirs, and from one to the next it rises step by step."""
    numbers = iter(range(9))
    out = over_windows(lambda span: torch.full((1, 1, span.stop - span.start), float(next(numbers))), 20, 8, 4)[0, 0]
    assert out.tolist() == sorted(out.tolist())
    assert out[0] == 0 and out[-1] == 3 and (out[1:] - out[:-1]).max() < 0.5
