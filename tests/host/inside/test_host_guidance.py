"""Nodes on guidance in the real host: guiders of docs/host-features.md, and those that know batches of pictures alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recording import error
from torch import Tensor

PAGE = Path(__file__).resolve().parents[3] / "docs" / "host-features.md"
CFG, FEW, STEPS = 5.0, 1.0, 3
SIZE = (1, 3, 4, 8, 16)

# guider: what it guides by, otherwise than plain guidance, and as that; None: nothing does, or all of it does
GUIDERS: dict[str, tuple[Callable[..., tuple[Any, ...]] | None, Callable[..., tuple[Any, ...]] | None]] = {
    "BasicGuider": (lambda text, negative, empty: (text,), None),
    "CFGGuider": (None, lambda text, negative, empty: (text, negative, CFG)),
    "DualCFGGuider": (lambda text, negative, empty: (text, empty, negative, 2.0, CFG, "nested"),
                      lambda text, negative, empty: (empty, text, negative, 0.0, CFG, "regular")),
    "PerpNegGuider": (lambda text, negative, empty: (text, negative, empty, CFG, 1.0),
                      lambda text, negative, empty: (text, negative, negative, CFG, 0.0)),
}


@pytest.fixture(scope="module")
def draw(load, t5) -> Callable[..., Tensor]:
    """Samples of a MODEL by a core sampler, noise from a fixed seed."""
    import nodes

    def draw(model: Any = None, size: tuple[int, ...] = SIZE, cfg: float = CFG, texts: Any = t5) -> Tensor:
        model, empty = model or load("show-1-base"), {"samples": torch.zeros(size)}
        with torch.inference_mode():
            return nodes.KSampler().sample(model, 3, STEPS, cfg, "euler", "simple", *texts, empty)[0]["samples"]

    return draw


@pytest.fixture(scope="module")
def plain(draw) -> Tensor:
    return draw()


@pytest.fixture
def said(caplog) -> Callable[[], list[str]]:
    """Our warnings since the test began."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records if record.getMessage().startswith("Show-1")]


def guider(name: str) -> Any:
    from comfy_extras import nodes_custom_sampler, nodes_perpneg

    return getattr(nodes_custom_sampler, name, None) or getattr(nodes_perpneg, name)


def ramp(model: Any, shape: str = "Linear") -> Any:
    """A MODEL whose guidance changes along a clip."""
    from comfy_extras import nodes_video_model

    return getattr(nodes_video_model, f"Video{shape}CFGGuidance")().patch(model, FEW)[0]


@pytest.mark.parametrize("name", GUIDERS)
def test_a_guider_of_the_page(load, t5, plain, said, name: str) -> None:
    """A core sampler's own guidance is that of CFGGuider."""
    from comfy_extras import nodes_custom_sampler as custom

    assert re.search(rf"^\| `{name}` \| works\b", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    model, sampler = load("show-1-base"), custom.KSamplerSelect.execute("euler").args[0]
    sigmas, empty = custom.BasicScheduler.execute(model, "simple", STEPS, 1.0).args[0], {"samples": torch.zeros(SIZE)}
    empty_text = [[torch.zeros_like(t5[1][0][0]), {}]]
    for other, arguments in zip((True, False), GUIDERS[name]):
        if arguments is not None:
            guide, = guider(name).execute(model, *arguments(*t5, empty_text)).args
            out = custom.SamplerCustomAdvanced.execute(custom.Noise_RandomNoise(3), guide, sampler, sigmas, empty).args[0]
            assert bool(torch.isfinite(out["samples"]).all())
            assert (error(out["samples"], plain) > 1e-3) is other and not said()


@pytest.mark.parametrize("shape, strongest", [("Linear", -1), ("Triangle", 2)])
def test_guidance_changes_from_frame_to_frame(pack, load, shape, strongest) -> None:
    """The first frame is guided as little as the node says, another as much as the sampler; each clip of a batch is."""
    options = dict(ramp(load("show-1-base"), shape).model_options)
    pack("nodes.host.guidance").show_frames(options, torch.Size((2, 3, 5, 8, 16)))
    zeros, ones = torch.zeros(2, 3, 5, 8, 16), torch.ones(2, 3, 5, 8, 16)
    out = options["sampler_cfg_function"]({"cond": ones, "uncond": zeros, "cond_scale": CFG, "input": zeros})
    assert bool((out == out[0, 0, :, 0, 0][None, None, :, None, None]).all()), "one number for each frame"
    assert out[0, 0, 0, 0, 0] == FEW and out[0, 0, strongest, 0, 0] == CFG and FEW < out[0, 0, 1, 0, 0] < CFG


def test_a_clip_is_not_drawn_at_the_least_guidance(load, draw) -> None:
    out = draw(ramp(load("show-1-base")))
    assert error(out, draw(cfg=FEW)) > 1e-2 and error(out, draw()) > 1e-2


@pytest.mark.parametrize("name, size", [("show-1-base", (1, 3, 1, 8, 16)), ("show-1-sr2", (1, 4, 8, 8))])
def test_a_single_picture_has_no_way_to_change_along(load, draw, said, t5, clip, name, size) -> None:
    draw(ramp(load(name)), size, texts=t5 if name == "show-1-base" else clip)
    assert len(said()) == 1 and "VideoLinearCFGGuidance changes guidance from frame to frame" in said()[0]


# what each frame comes to must not depend on the other frames, nor on the clip's width
FRAME_BY_FRAME = {
    "RescaleCFG": ("nodes_model_advanced", lambda module, model: module.RescaleCFG().patch(model, 0.7)[0]),
    "APG": ("nodes_apg", lambda module, model: module.APG.execute(model, 0.0, 1.0, 0.5).args[0]),
    "FreSca": ("nodes_fresca", lambda module, model: module.FreSca.execute(model, 0.5, 2.0, 2).args[0]),
    "Tonemap": ("nodes_latent", lambda module, model: module.LatentApplyOperationCFG.execute(
        model, module.LatentOperationTonemapReinhard.execute(0.5).args[0]).args[0]),
    "Sharpen": ("nodes_latent", lambda module, model: module.LatentApplyOperationCFG.execute(
        model, module.LatentOperationSharpen.execute(2, 1.0, 3.0).args[0]).args[0]),
}


@pytest.mark.parametrize("name", FRAME_BY_FRAME)
def test_a_frame_is_guided_as_a_picture_is(pack, load, name: str) -> None:
    """The host's function on clips is the same function on pictures, frame by frame: of two clips of five frames."""
    import importlib

    module, attach = FRAME_BY_FRAME[name]
    made = importlib.import_module(f"comfy_extras.{module}")
    draws = torch.randn(3, 2, 3, 5, 8, 16, generator=torch.Generator().manual_seed(0))

    def guide(samples: Tensor, shape: torch.Size) -> Tensor:
        options = dict(attach(made, load("show-1-base")).model_options)  # anew, for some remember
        pack("nodes.host.guidance").show_frames(options, shape)
        x, one, other = samples
        args = {"input": x, "cond_scale": CFG, "sigma": torch.full((len(x),), 2.0)}
        for before in options.get("sampler_pre_cfg_function", []):
            one, other = before({**args, "conds": [[{}], [{}]], "conds_out": [one, other]})
        if "sampler_cfg_function" not in options:
            return one
        return options["sampler_cfg_function"]({**args, "cond": x - one, "uncond": x - other})

    clips = guide(draws, draws[0].shape)
    for number in range(5):
        frame = guide(draws[:, :, :, number], draws[0, :, :, number].shape)
        assert torch.allclose(clips[:, :, number], frame, atol=1e-5), number


def test_what_takes_one_clip_alone_refuses_several(load, draw) -> None:
    from comfy_extras.nodes_lumina2 import RenormCFG

    model = RenormCFG.execute(load("show-1-base"), 100.0, 0.5).args[0]
    with pytest.raises(ValueError, match="^RenormCFG takes one clip or picture at a time, and here are 2; remove it"):
        draw(model, (2, *SIZE[1:]))


def test_a_control_net_is_told(draw, plain, t5, said) -> None:
    """What the host hands on, without a network of its own, since there is none for these models."""
    import comfy.controlnet

    control = type("Control", (comfy.controlnet.ControlBase,), {"get_control": lambda *_: {}})()
    with_control = {"control": control, "control_apply_to_uncond": True}
    texts = [[[states, {**values, **with_control}] for states, values in text] for text in t5]
    assert error(draw(texts=texts), plain) <= 1e-4
    assert len(said()) == 1 and said()[0].startswith("Show-1: ControlNet does nothing for this model")


@pytest.mark.parametrize("hang", ["set_model_double_block_patch", "set_model_post_input_patch"])
def test_what_is_for_other_networks_says_its_kind(load, draw, plain, said, hang: str) -> None:
    """QwenImageDiffsynthControlnet and USOStyleReference hang these on a MODEL."""
    model = load("show-1-base").clone()
    getattr(model, hang)(lambda args: args)
    assert error(draw(model), plain) <= 1e-4
    assert len(said()) == 1 and "does nothing for this model" in said()[0]


@pytest.mark.slow  # all weights of both are read
def test_merging_models_of_two_stages_is_told(load, draw, said) -> None:
    from comfy_extras.nodes_model_merging import ModelMergeSimple

    draw(ModelMergeSimple().merge(load("show-1-base"), load("show-1-interpolation"), 0.5)[0])
    assert len(said()) == 1 and re.search(r"a model merged in, was made for another base: \d+ of the \d+ changes", said()[0])
