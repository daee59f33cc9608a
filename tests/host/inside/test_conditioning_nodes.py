"""docs/host-features.md, the table of nodes on texts and latents, row by row, in the real host."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recording import error
from torch import Tensor

PAGE = Path(__file__).resolve().parents[3] / "docs" / "host-features.md"
ROW = re.compile(r"^\| `(\w+)` \| works\b", re.MULTILINE)
FRAMES, HEIGHT, WIDTH = 4, 8, 16
HALF, ALL = torch.zeros(1, HEIGHT, WIDTH), torch.ones(1, HEIGHT, WIDTH)
HALF[..., :WIDTH // 2] = 1
LATER = torch.zeros(FRAMES, HEIGHT, WIDTH)  # a mask for each frame
LATER[2:] = 1
Text = Any  # CONDITIONING

# node: what changes the clip, made of a text and another one, and what must not; None: nothing of it leaves the clip alone
NODES: dict[str, tuple[Callable[..., Text], Callable[..., Text] | None]] = {
    "ConditioningAverage": (lambda node, text, other: node.addWeighted(text, other, 0.5),
                            lambda node, text, other: node.addWeighted(text, other, 1.0)),
    "ConditioningCombine": (lambda node, text, other: node.combine(text, other),
                            lambda node, text, _: node.combine(text, text)),
    "ConditioningConcat": (lambda node, text, other: node.concat(text, other), None),
    "ConditioningSetArea": (lambda node, text, other: both(node.append(text, 64, 64, 0, 0, 1.0), other),
                            lambda node, text, _: node.append(text, 8 * WIDTH, 8 * HEIGHT, 0, 0, 1.0)),
    "ConditioningSetAreaPercentage": (lambda node, text, other: both(node.append(text, 0.5, 1.0, 0, 0, 1.0), other),
                                      lambda node, text, _: node.append(text, 1.0, 1.0, 0, 0, 1.0)),
    "ConditioningSetAreaPercentageVideo": (
        lambda node, text, other: both(node.append(text, 1.0, 1.0, 0.5, 0, 0, 0.5, 1.0), other),
        lambda node, text, _: node.append(text, 1.0, 1.0, 1.0, 0, 0, 0, 1.0)),
    "ConditioningSetAreaStrength": (lambda node, text, other: both(node.append(text, 0.3), other),
                                    lambda node, text, _: node.append(text, 1.0)),
    "ConditioningSetMask": (lambda node, text, other: both(node.append(text, HALF, "default", 1.0), other),
                            lambda node, text, _: node.append(text, ALL, "default", 1.0)),
    "ConditioningSetTimestepRange": (lambda node, text, other: both(node.set_range(text, 0.0, 0.5), other),
                                     lambda node, text, _: node.set_range(text, 0.0, 1.0)),
    "ConditioningZeroOut": (lambda node, text, _: node.zero_out(text), None),
}


def both(one: tuple[Text], other: Text) -> tuple[Text]:
    """A text and another beside it."""
    return ([*one[0], *other],)


@pytest.fixture(scope="module")
def draw(load) -> Callable[..., Tensor]:
    """Keyframes under texts, or more of a latent, by a core sampler, noise from a fixed seed."""
    import nodes

    def draw(texts: Any, latent: dict[str, Tensor] | None = None, model: Any = None) -> Tensor:
        latent, model = latent or {"samples": torch.zeros(1, 3, FRAMES, HEIGHT, WIDTH)}, model or load("show-1-base")
        with torch.inference_mode():
            return nodes.KSampler().sample(model, 3, 5, 5.0, "euler", "simple", *texts, latent)[0]["samples"]

    return draw


@pytest.fixture(scope="module")
def plain(draw, t5) -> Tensor:
    return draw(t5)


@pytest.fixture(scope="module")
def other(t5) -> Text:
    """Another text."""
    return [[t5[0][0][0].roll(1, dims=-1), {}]]


def node_of(name: str) -> Any:
    from comfy_extras import nodes_video_model

    import nodes

    return getattr(nodes, name, None) or getattr(nodes_video_model, name)


def test_the_page_has_a_row_for_every_node_tried_here() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## On texts and latents")[1]
    assert set(ROW.findall(table)) == {*NODES, "SetLatentNoiseMask", "DifferentialDiffusion"}


@pytest.mark.slow  # ten seconds
@pytest.mark.parametrize("name", NODES)
def test_a_row_of_the_page(draw, plain, t5, other, name) -> None:
    changes, same = NODES[name]
    changed, = changes(node_of(name)(), t5[0], other)
    clip = draw((changed, t5[1]))
    assert bool(torch.isfinite(clip).all()) and error(clip, plain) > 1e-3
    if same is not None:
        unchanged, = same(node_of(name)(), t5[0], other)
        assert error(draw((unchanged, t5[1])), plain) <= 1e-4


@pytest.mark.parametrize("name, arguments", [
    ("ConditioningSetMask", (LATER, "default", 1.0)),  # by a mask for each frame
    ("ConditioningSetAreaPercentageVideo", (1.0, 1.0, 0.5, 0, 0, 0.5, 1.0))])
def test_a_text_for_the_later_frames_changes_those_the_most(draw, plain, t5, other, name, arguments) -> None:
    """Frames see each other, so the earlier ones follow a little."""
    later, = node_of(name)().append(other, *arguments)
    earlier, = node_of("ConditioningSetMask")().append(t5[0], 1 - LATER, "default", 1.0)
    change = (draw(([*earlier, *later], t5[1])) - plain).abs().mean((0, 1, 3, 4))
    assert change[2:].min() > 2 * change[:2].max()


def test_an_area_in_percent_is_one_of_all_frames(draw, t5, other) -> None:
    """What the host cannot read in clips: height and width without time."""
    flat, = node_of("ConditioningSetAreaPercentage")().append(t5[0], 0.5, 1.0, 0.25, 0, 1.0)
    long, = node_of("ConditioningSetAreaPercentageVideo")().append(t5[0], 0.5, 1.0, 1.0, 0.25, 0, 0, 1.0)
    one, another = (draw(([*area, *other], t5[1])) for area in (flat, long))
    assert torch.equal(one, another)
    assert flat[0][1]["area"] == ("percentage", 1.0, 0.5, 0, 0.25), "the user's own is left alone"


@pytest.mark.parametrize("mask, kept", [(LATER, [0, 1]), (ALL, [])])
def test_a_noise_mask_keeps_frames(draw, plain, t5, mask, kept) -> None:
    clip = torch.rand(1, 3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latent, = node_of("SetLatentNoiseMask")().set_mask({"samples": clip}, mask)
    out = draw(t5, latent)
    assert error(out[:, :, kept], clip[:, :, kept]) <= 1e-4 if kept else error(out, draw(t5, {"samples": clip})) <= 1e-4
    assert error(out[:, :, 2:], clip[:, :, 2:]) > 1e-2


def test_a_soft_mask_is_followed_step_by_step(draw, t5, load) -> None:
    from comfy_extras.nodes_differential_diffusion import DifferentialDiffusion

    clip = torch.rand(1, 3, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grey, white = ({"samples": clip, "noise_mask": level * ALL.repeat(FRAMES, 1, 1)} for level in (0.5, 1.0))
    patched = DifferentialDiffusion.execute(load("show-1-base"), 1.0).args[0]
    assert error(draw(t5, grey, patched), draw(t5, grey)) > 1e-3
    assert error(draw(t5, white, patched), draw(t5, white)) <= 1e-4
