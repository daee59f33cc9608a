"""What the mini that ships shows when a clip is longer, begins or ends with given frames, or changes its prompt on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.slow  # half a minute: the mini draws a clip for each

PUBLISHED = ("published", "published")
LENGTH, STEPS, SEED, LEVEL = 8, 12, 5, 1 / 255
PROMPT = "a red ball moving right"

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
from judge_frames import judge  # noqa: E402


@pytest.fixture(scope="module")
def draw(pack, mini, mini_recipe, mini_text):
    """Keyframes of the mini, (F, H, W, 3) in 0..1."""
    node, settings = pack("nodes.keyframes").Show1KeyframeSampler, mini_recipe["keyframes"]
    size = settings["width"], settings["height"]

    def draw(prompt: str, frames: int = LENGTH, model=None, free_noise: bool = False) -> Tensor:
        with torch.inference_mode():
            return node.execute(model or mini("keyframes"), *mini_text(prompt), SEED, STEPS, settings["guidance"], frames, *size,
                                *PUBLISHED, free_noise=free_noise).args[0].clamp(0, 1)

    return draw


@pytest.fixture(scope="module")
def plain(draw) -> Tensor:
    return draw(PROMPT)


@pytest.fixture(scope="module")
def draw_around(pack, mini, mini_recipe, mini_text):
    """Keyframes of the mini by the core's sampler, around given ones."""
    import nodes

    settings, vae = mini_recipe["keyframes"], nodes.VAELoader().load_vae("pixel_space")[0]

    def draw_around(first: Tensor | None, last: Tensor | None, prompt: str = PROMPT) -> Tensor:
        with torch.inference_mode():
            given = pack("nodes.given_frames").Show1GivenFrames.execute(
                LENGTH, settings["width"], settings["height"], first, last).args[0]
            out, = nodes.KSampler().sample(mini("keyframes"), SEED + 2, STEPS, settings["guidance"], "dpmpp_2m", "normal",
                                           *mini_text(prompt), given)
            return nodes.VAEDecode().decode(vae, out)[0]

    return draw_around


def seen(clip: Tensor):
    """What the judge sees of the solid that moves, in frames (F, H, W, 3)."""
    return judge((clip * 255).byte().numpy()).first


def change(clip: Tensor) -> Tensor:
    """From each frame to the next, in levels of 255, (F - 1,)."""
    return 255 * (clip[1:] - clip[:-1]).abs().mean((1, 2, 3))


def place(frame: Tensor) -> Tensor:
    """The middle of what stands out of the background, as shares of width and height."""
    stands_out = (frame - frame[:1, :1]).abs().amax(-1)
    weight = stands_out * (stands_out > 0.25)
    height, width = weight.shape
    across, down = (weight.sum(0) * torch.arange(width)).sum(), (weight.sum(1) * torch.arange(height)).sum()
    return torch.stack([across / width, down / height]) / weight.sum()


def windows_of(model, overlap: int):
    """The model, seeing eight frames at once."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(model, LENGTH, overlap, "standard_static", 1, False, "pyramid", 2).args[0]


@pytest.mark.parametrize("overlap, frames, free_noise, seamless", [(4, 20, True, True), (0, 16, False, False)])
def test_nothing_jumps_where_windows_meet(draw, mini, overlap, frames, free_noise, seamless) -> None:
    """Where windows share frames; where they share none the jump is seen, so the measure sees jumps."""
    clip = draw(PROMPT, frames, windows_of(mini("keyframes"), overlap), free_noise)
    steps, stride = change(clip), LENGTH - overlap
    borders = [border for border in range(stride - 1, frames - 1, stride) if border < frames - 1]
    elsewhere = [step for step in range(frames - 1) if step not in borders]
    at, off = float(steps[borders].mean()), float(steps[elsewhere].mean())
    print(f"{frames} keyframes, windows of {LENGTH} that share {overlap}: {at:.1f} levels at borders, {off:.1f} elsewhere")
    assert (at < 1.5 * off) is seamless
    assert {seen(clip[start:start + LENGTH]).colour for start in range(0, frames - LENGTH + 1, 4)} == {"red"}


def test_a_given_first_frame_moves_on(plain, draw_around) -> None:
    clip = draw_around(plain[:1], None)
    assert (clip[0] - plain[0]).abs().max() <= 2 * LEVEL
    assert (seen(clip).colour, seen(clip).motion) == ("red", "moving right")
    assert change(clip)[0] <= 2 * change(clip)[1:].mean(), "the second frame follows the first"


def test_motion_starts_and_ends_at_given_frames(plain, draw_around) -> None:
    clip = draw_around(plain[:1], plain[-1:])
    for frame in (0, -1):
        assert (clip[frame] - plain[frame]).abs().max() <= 2 * LEVEL
    assert (seen(clip).colour, seen(clip).motion) == ("red", "moving right")
    assert change(clip).max() <= 2 * change(clip).mean(), "no jump at either end"
    way = [float(place(frame)[0]) for frame in clip]
    assert way == sorted(way), "it goes from one to the other without turning back"


def test_a_loop_comes_back_to_where_it_began(plain, draw_around) -> None:
    clip = draw_around(plain[:1], plain[:1], "a red ball circling")
    assert torch.equal(clip[0], clip[-1]) and (clip[0] - plain[0]).abs().max() <= 2 * LEVEL
    assert seen(clip).motion == "circling"
    steps = change(clip)
    print(f"a loop: {steps[0]:.0f} levels from its first frame, {steps[-1]:.0f} back to it, {steps[1:-1].mean():.0f} on the way")
    assert steps.min() > 3 and steps.max() <= 2 * steps.mean(), "it moves, and jumps nowhere"


def test_a_long_clip_turns_where_its_prompts_do(draw, mini) -> None:
    """The motion of one window goes on in the next, and each follows the prompt of its frames."""
    turn = 7
    clip = draw(f"0: a red ball moving right | {turn}: a red ball moving left", 2 * turn, windows_of(mini("keyframes"), 2), True)
    assert [seen(part).motion for part in (clip[:turn], clip[turn:])] == ["moving right", "moving left"]
    steps = change(clip)
    assert steps.max() <= 2 * steps.mean(), "and jumps nowhere"


def test_a_prompt_that_changes_its_colour_on_the_way(draw) -> None:
    clip = draw(f"0: {PROMPT} | 4: {PROMPT.replace('red', 'blue')}")
    assert [seen(half).colour for half in clip.split(4)] == ["red", "blue"]
    assert seen(clip).motion == "moving right", "what both ask for goes on"
