"""Longer clips from shuffled noise, frames that are given, prompts that change over time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from recording import error
from torch import Tensor

from show1_core import cascade, stages
from show1_core.cascade import ContextWindow, VideoSize
from show1_core.checkpoints import load_unet
from show1_core.given_frames import fitted, given_frames
from show1_core.memory import Call, Level
from show1_core.prompt_travel import TextOverTime, placed_prompts

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
    assert sources[:length] != list(range(length)) or frames < 2 * length or length - overlap < 2, "they are shuffled"


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
    assert small.shape == (2, 10, 16, 3) and float(small.min()) >= 0 and float(small.max()) <= 1
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


@pytest.mark.parametrize("prompt", [
    "", "a red ball", "a sign: do not enter", "16:9 picture of a cat", "0:00 on a clock", "3: the final battle", "a | b",
    "a: b | c: d", "day | 4: night", ": a", "0 a | 4 b", "-1: a"])
def test_every_other_prompt_stays_one(prompt: str) -> None:
    assert placed_prompts(prompt) is None


@pytest.mark.parametrize("prompt, expected", [
    ("0: a red ball moving right | 4: a red ball moving left", [(0, "a red ball moving right"), (4, "a red ball moving left")]),
    ("0:a|1:b|12: c ", [(0, "a"), (1, "b"), (12, "c")]), ("  0 : at 16:9\n| 3 :x: y", [(0, "at 16:9"), (3, "x: y")]),
    ("0: a", [(0, "a")])])
def test_prompts_over_time_are_placed(prompt: str, expected: list[tuple[int, str]]) -> None:
    assert placed_prompts(prompt) == expected


@pytest.mark.parametrize("prompt, sentence", [
    ("0: a | b", "its part 'b' has no keyframe's number; write each as"), ("0: a | 4:", "its part '4:' has no text"),
    ("0: | 4: b", "its part '0:' has no text"), ("0: a | 1.5: b", "'1.5: b' has no keyframe's number"),
    ("2: a | 4: b", "for keyframe 2; begin with 0"), ("0: a | 4: b | 4: c", "at keyframes 0, 4, 4; expected each later"),
    ("0: a | 4: b | 3: c", "0, 4, 3"), ("0: a |", "part '' has no keyframe's number")])
def test_what_is_meant_over_time_but_written_otherwise_is_refused(prompt: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        placed_prompts(prompt)


@pytest.mark.parametrize("times, expected", [([0, 0.75, 3.9, 4, 5, 100], [0, 0, 0, 1, 1, 2]), ([7.99, 8], [1, 2])])
def test_a_text_holds_from_its_keyframe_on(times: list[float], expected: list[int]) -> None:
    text = TextOverTime(torch.zeros(3, 77, 4), (0, 4, 8))
    assert text.seen(torch.tensor([times])).tolist() == [expected]


@pytest.fixture
def call(models, texts) -> Callable[..., Tensor]:
    """A call of a miniature: clips (B, C, F, 8, 8) under prepared text."""

    def call(name: str, seen: Tensor, level: Level | None = None, equal: bool = False) -> Tensor:
        unet, drawn = load_unet(models / name), torch.Generator().manual_seed(0)
        rows, frames = len(seen) // 2, seen.shape[1]
        clip = torch.randn(rows, unet.config.in_channels, frames, 16, 16, generator=drawn)
        states = texts["clip" if name == "show-1-sr2" else "t5"]
        states = states[:1].expand(2, -1, -1) if equal else states
        level_number = torch.tensor(100) if unet.config.takes_noise_level else None
        prepared = unet.prepare_each(states).under(seen)
        call = Call(unet, clip, torch.tensor(500), prepared, level_number)
        return call.at(level or Level())

    return call


STAGES = ["show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2"]
SEEN = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])  # two halves of guidance, two clips each, three frames


@pytest.mark.parametrize("name", STAGES)
def test_equal_texts_over_time_are_one_text(call, name: str) -> None:
    with torch.no_grad():
        found, plain = (call(name, seen, equal=True) for seen in (SEEN, torch.zeros_like(SEEN)))
    assert error(found, plain) <= 1e-6 and len(found) == len(SEEN)


@pytest.mark.slow  # fifteen seconds
@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("level", [Level(1), Level(1, False)])
def test_parts_of_a_call_see_the_same_texts(call, name: str, level: Level) -> None:
    with torch.no_grad():
        assert error(call(name, SEEN, level), call(name, SEEN)) <= 1e-5
        assert error(call(name, SEEN), call(name, torch.zeros_like(SEEN))) > 1e-3, "the texts make a difference"


def test_a_frame_under_its_text_is_the_frame_alone_under_it(models, texts) -> None:
    """In the image model, whose frames do not see each other."""
    unet, clip = load_unet(models / "IF-II-L-v1.0"), torch.randn(1, 6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    number = torch.tensor(100)
    with torch.no_grad():
        together = unet(clip, number, unet.prepare_each(texts["t5"]).under(torch.tensor([[0, 1, 0]])), number)
        for frame, text in enumerate((0, 1, 0)):
            alone = unet(clip[:, :, frame], number, texts["t5"][text:text + 1], number)
            assert error(together[:, :, frame], alone) <= 1e-5


def test_texts_for_other_frames_are_refused(models, texts) -> None:
    unet = load_unet(models / "show-1-base")
    four = unet.prepare_each(texts["t5"]).under(torch.zeros(1, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="text over time is for 4 frames; the sample has 3"):
        unet(torch.zeros(1, 3, 3, 8, 8), torch.tensor(1), four)
