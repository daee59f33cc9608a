"""Longer clips from shuffled noise, frames that are given, and what the last window is told: without a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from show1_core import cascade, stages
from show1_core.cascade import ContextWindow, VideoSize
from show1_core.given_frames import fitted, given_frames

SMALL = VideoSize(frames=8, height=5, width=8)


def noise_of(frames: int, window: ContextWindow | None) -> Tensor:
    """The noise that keyframes begin from, (1, 3, F, 8, 8)."""
    return cascade.keyframes(lambda noise, *_: noise, VideoSize(frames, 8, 8), 3, window=window)


@pytest.mark.parametrize("frames, window", [(1, (8, 4)), (8, (8, 4)), (7, (8, 7))])
def test_one_window_is_left_as_it_is(frames: int, window: tuple[int, int]) -> None:
    assert torch.equal(noise_of(frames, ContextWindow(*window)), noise_of(frames, None))


@pytest.mark.parametrize("frames, window", [(64, (8, 4)), (9, (8, 4)), (21, (8, 3)), (20, (4, 0)), (30, (16, 15)), (12, (4, 6))])
def test_later_frames_are_the_first_windows_shuffled(frames: int, window: tuple[int, int]) -> None:
    length, overlap = window
    plain, free = noise_of(frames, None), noise_of(frames, ContextWindow(*window))
    assert torch.equal(free[:, :, :length], plain[:, :, :length])
    sources = []
    for frame in range(length, frames):
        same = [first for first in range(length) if torch.equal(free[:, :, frame], plain[:, :, first])]
        assert len(same) == 1, "each is one of the first"
        sources.append(same[0])
    if overlap == 0:
        for start in range(0, frames - length, length):
            window_frames = sources[start:start + length]
            assert len(set(window_frames)) == len(window_frames), "no frame of noise comes twice in a window"
    assert sources[:length] != list(range(length)) or frames < 2 * length, "they are shuffled"


def test_the_same_seed_shuffles_in_the_same_way() -> None:
    assert torch.equal(noise_of(40, ContextWindow(8, 4)), noise_of(40, ContextWindow(8, 4)))


@pytest.mark.parametrize("first, last", [(1, 0), (0, 1), (1, 1), (3, 2), (0, 7)])
def test_given_frames_lie_where_they_belong(first: int, last: int) -> None:
    images = torch.rand(first + last, 5, 8, 3, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    clip, drawn = given_frames(SMALL, images[:first] if first else None, images[first:] if last else None)
    assert clip.shape == (1, 3, *SMALL) and drawn.shape == (1, 1, *SMALL)
    kept = [*range(first), *range(8 - last, 8)]
    assert [frame for frame in range(8) if not drawn[:, :, frame].any()] == kept
    assert bool((drawn.unique() == torch.tensor([0.0, 1.0])).all())
    assert torch.allclose(cascade.to_images(clip)[kept], images, atol=1e-6), "frames between stages are not clamped"


@pytest.mark.parametrize("first, last, sentence", [
    (0, 0, "no frame is given; connect first_frames"), (8, 0, "8 first and 0 last frames .* none of 8 .* set frames to 9"),
    (5, 3, "5 first and 3 last"), (20, 1, "set frames to 22")])
def test_what_leaves_nothing_to_draw_is_refused(first: int, last: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        given_frames(SMALL, torch.zeros(first, 5, 8, 3) if first else None, torch.zeros(last, 5, 8, 3) if last else None)


@pytest.mark.parametrize("height, width", [(40, 64), (100, 64), (50, 300), (7, 11), (1, 1), (3000, 20)])
def test_a_picture_of_any_size_fits_by_its_middle(height: int, width: int) -> None:
    picture = torch.zeros(2, height, width, 3)
    picture[:, :, :, 0] = torch.linspace(0, 1, width)
    picture[:, :, :, 1] = torch.linspace(0, 1, height)[:, None]
    small = fitted(picture, 10, 16)
    assert small.shape == (2, 10, 16, 3) and 0 <= float(small.min()) and float(small.max()) <= 1
    if min(height, width) > 1:
        middle = small[..., :2].mean((1, 2))
        assert torch.allclose(middle, torch.full_like(middle, 0.5), atol=0.1)


def test_the_last_window_is_shown_the_last_frame() -> None:
    seen = []
    clip, last = torch.rand(1, 3, 10, 4, 4), torch.rand(1, 3, 1, 16, 16)
    cascade.upscale(lambda noise, condition, *_: seen.append(condition.frames) or noise, clip, None, stages.NOISING, 250, seed=1,
                    last=last)
    assert len(seen) == 2
    assert torch.equal(seen[1][:, :, -1:], last) and not torch.equal(seen[0][:, :, -1:], last)
