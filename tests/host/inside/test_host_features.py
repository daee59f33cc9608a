"""docs/host-features.md, row by row, in the real host: what a node does to our MODEL, or says that it does not."""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recording import error

PAGE = Path(__file__).resolve().parents[3] / "docs" / "host-features.md"
ROW = re.compile(r"^\| `(\w+)` \| (works|warns|refuses)\b", re.MULTILINE)
PUBLISHED = ("published", "published")

Arguments = tuple[Any, ...] | Callable[[SimpleNamespace], tuple[Any, ...]]  # beside the MODEL; some are made of others

# node: module of the host, arguments that do something, arguments that must do nothing (None: there are none)
NODES: dict[str, tuple[str, Arguments, Arguments | None]] = {
    "APG": ("nodes_apg", (0.0, 1.0, 0.5), None),
    "CFGNorm": ("nodes_cfg", (0.5,), None),
    "CFGZeroStar": ("nodes_cfg", (), None),
    "ChromaRadianceOptions": ("nodes_chroma_radiance", (True, 1.0, 0.0, 0), None),
    "ContextWindowsManualNode": ("nodes_context_windows", (2, 1, "standard_static", 1, False, "pyramid", 2),
                                 (8, 1, "standard_static", 1, False, "pyramid", 2)),
    "EasyCacheNode": ("nodes_easycache", (3.0, 0.0, 1.0, False), (0.0, 0.0, 1.0, False)),
    "EpsilonScaling": ("nodes_eps", (1.05,), (1.0,)),
    "FreeU": ("nodes_freelunch", (1.3, 1.4, 0.9, 0.2), (1.0, 1.0, 1.0, 1.0)),
    "FreeU_V2": ("nodes_freelunch", (1.3, 1.4, 0.9, 0.2), (1.0, 1.0, 1.0, 1.0)),
    "FreSca": ("nodes_fresca", (0.5, 2.0, 2), (1.0, 1.0, 2)),
    "HypernetworkLoader": ("nodes_hypernetwork", ("empty.pt", 1.0), None),
    "HyperTile": ("nodes_hypertile", (32, 2, 0, False), None),
    "LatentApplyOperationCFG": ("nodes_latent", lambda given: (given.sharpen(3.0),), lambda given: (given.sharpen(0.0),)),
    "LazyCacheNode": ("nodes_easycache", (0.0, 0.0, 1.0, False), None),
    "Mahiro": ("nodes_mahiro", (), None),
    "ModelComputeDtype": ("nodes_model_advanced", ("bf16",), ("fp32",)),
    "ModelMergeAdd": ("nodes_model_merging", lambda given: (given.model,), None),
    "ModelMergeBlocks": ("nodes_model_merging", lambda given: (given.model, 0.3, 1.0, 1.0),
                         lambda given: (given.model, 1.0, 0.3, 0.3)),
    "ModelMergeSimple": ("nodes_model_merging", lambda given: (given.model, 0.3), lambda given: (given.model, 1.0)),
    "ModelMergeSubtract": ("nodes_model_merging", lambda given: (given.model, 1.0), None),
    "ModelSamplingAuraFlow": ("nodes_model_advanced", (1.73,), None),
    "ModelSamplingContinuousEDM": ("nodes_model_advanced", ("v_prediction", 120.0, 0.002), None),
    "ModelSamplingContinuousV": ("nodes_model_advanced", ("v_prediction", 500.0, 0.03), None),
    "ModelSamplingDiscrete": ("nodes_model_advanced", ("eps", False), None),
    "ModelSamplingFlux": ("nodes_model_advanced", (1.15, 0.5, 1024, 1024), None),
    "ModelSamplingLTXV": ("nodes_lt", (2.05, 0.95), None),
    "ModelSamplingSD3": ("nodes_model_advanced", (3.0,), None),
    "ModelSamplingStableCascade": ("nodes_model_advanced", (2.0,), None),
    "PatchModelAddDownscale": ("nodes_model_downscale", (3, 2.0, 0.0, 1.0, True, "bilinear", "bilinear"), None),
    "PerpNeg": ("nodes_perpneg", lambda given: (given.empty, 1.0), lambda given: (given.negative, 1.0)),
    "PerturbedAttentionGuidance": ("nodes_pag", (3.0,), (0.0,)),
    "RenormCFG": ("nodes_lumina2", (100.0, 0.5), None),
    "RescaleCFG": ("nodes_model_advanced", (5.0,), (0.0,)),
    "ScaleROPE": ("nodes_rope", (2.0, 0.0, 2.0, 0.0, 1.0, 0.0), None),
    "SelfAttentionGuidance": ("nodes_sag", (0.5, 2.0), None),
    "SkipLayerGuidanceDiT": ("nodes_slg", ("7", "7", 3.0, 0.0, 1.0, 0.0), None),
    "SkipLayerGuidanceSD3": ("nodes_sd3", ("7", 3.0, 0.0, 1.0), None),
    "SkipLayerGuidanceDiTSimple": ("nodes_slg", ("7", "7", 0.0, 1.0), None),
    "TCFG": ("nodes_tcfg", (), None),
    "TemporalScoreRescaling": ("nodes_eps", (0.8, 1.0), None),
    "TomePatchModel": ("nodes_tomesd", (0.5,), None),
    "TorchCompileModel": ("nodes_torch_compile", ("inductor",), None),
    "UNetCrossAttentionMultiply": ("nodes_attention_multiply", (1.0, 1.0, 1.0, 0.3), (1.0, 1.0, 1.0, 1.0)),
    "UNetSelfAttentionMultiply": ("nodes_attention_multiply", (1.0, 1.0, 1.0, 0.3), (1.0, 1.0, 1.0, 1.0)),
    "UNetTemporalAttentionMultiply": ("nodes_attention_multiply", (0.3, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)),
    "VideoLinearCFGGuidance": ("nodes_video_model", (1.0,), (5.0,)),
    "VideoTriangleCFGGuidance": ("nodes_video_model", (1.0,), (5.0,)),
    "WanContextWindowsManualNode": ("nodes_context_windows", (5, 1, "standard_static", 1, False, "pyramid"),
                                    (81, 30, "standard_static", 1, False, "pyramid")),
}
SPOILS = ("ModelSampling", "EasyCache")  # begin the names of those that are warned of for what they do
ELSEWHERE = {"BasicGuider", "CFGGuider", "ControlNetApplyAdvanced", "DualCFGGuider", "PerpNegGuider"}  # test_host_guidance.py
RESULTS = dict(ROW.findall(PAGE.read_text(encoding="utf-8").split("## On texts and latents")[0]))


def attached(name: str, model: Any, arguments: tuple[Any, ...]) -> Any:
    """The MODEL that a node of the host gives, called by the names of its inputs, as the host does."""
    module = importlib.import_module(f"comfy_extras.{NODES[name][0]}")
    node = getattr(module, "NODE_CLASS_MAPPINGS", {}).get(name) or getattr(module, name)
    inputs = dict(zip(node.INPUT_TYPES()["required"], (model, *arguments)))
    out = node.execute(**inputs) if hasattr(node, "execute") else getattr(node(), node.FUNCTION)(**inputs)
    return out[0] if isinstance(out, tuple) else out.args[0]


@pytest.fixture(scope="module")
def arguments_of(load, t5, tmp_path_factory) -> Callable[[Arguments | None], tuple[Any, ...]]:
    """A node's arguments beside the MODEL, made of another model, texts, or files where it takes those."""
    import folder_paths
    from comfy_extras.nodes_latent import LatentOperationSharpen

    folder = tmp_path_factory.mktemp("hypernetworks")
    torch.save({}, folder / "empty.pt")
    folder_paths.add_model_folder_path("hypernetworks", str(folder))
    other = attached("UNetTemporalAttentionMultiply", load("show-1-base"), (0.3, 1.0, 1.0, 1.0))
    given = SimpleNamespace(model=other, negative=t5[1], empty=[[torch.zeros_like(t5[1][0][0]), {}]],
                            sharpen=lambda alpha: LatentOperationSharpen.execute(2, 1.0, alpha).args[0])
    return lambda arguments: arguments(given) if callable(arguments) else arguments or ()


@pytest.fixture(scope="module")
def draw(t5) -> Callable[..., torch.Tensor]:
    """Keyframes of a MODEL by a core sampler, noise from a fixed seed."""

    def draw(model: Any, size: tuple[int, ...] = (1, 3, 4, 8, 16), texts: Any = t5) -> torch.Tensor:
        import nodes

        with torch.inference_mode():
            out, = nodes.KSampler().sample(model, 3, 5, 5.0, "euler", "simple", *texts, {"samples": torch.zeros(size)})
            return out["samples"]

    return draw


@pytest.fixture(scope="module")
def plain(load, draw) -> torch.Tensor:
    return draw(load("show-1-base"))


@pytest.fixture
def said(caplog) -> Callable[[], list[str]]:
    """Our warnings since the test began."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records if record.getMessage().startswith("Show-1")]


def test_the_page_has_a_row_for_every_node_tried_here() -> None:
    assert RESULTS.keys() == {name.removesuffix("Node") for name in NODES} | ELSEWHERE


@pytest.mark.parametrize("name", NODES)
def test_a_row_of_the_page(load, draw, plain, said, arguments_of, name: str) -> None:
    model, result = load("show-1-base"), RESULTS[name.removesuffix("Node")]
    patched = attached(name, model, arguments_of(NODES[name][1]))
    if result == "refuses":
        with pytest.raises(ValueError, match=f"^{name} .*; remove it"):
            draw(patched)
        return
    changed = draw(patched)
    assert bool(torch.isfinite(changed).all())
    if result == "works":
        assert error(changed, plain) > 1e-3 and not said()
    else:
        assert (error(changed, plain) > 1e-3) is name.startswith(SPOILS)  # some ask about each text in a call of its own
        assert len(said()) == 1 and re.sub("(Node|DiTSimple|DiT|SD3|(?<=^ModelSampling).*)$", "", name) in said()[0]


@pytest.mark.slow  # the quick run has the rows of the page
@pytest.mark.parametrize("name", [name for name, (_, _, nothing) in NODES.items() if nothing is not None])
def test_at_strength_zero_it_is_the_plain_run(load, draw, plain, arguments_of, name: str) -> None:
    assert error(draw(attached(name, load("show-1-base"), arguments_of(NODES[name][2]))), plain) <= 1e-4


@pytest.mark.slow  # the quick run has the rows of the page
@pytest.mark.parametrize("name", ["UNetTemporalAttentionMultiply", "FreeU", "EasyCacheNode", "PerturbedAttentionGuidance"])
def test_it_leaves_no_trace(load, draw, name: str) -> None:
    """A plain run after one with it is the plain run before, to the bit: weights are those they were, and nothing is kept."""
    model = load("show-1-base")
    before = draw(model)
    weights = {key: (weight.stride(), weight.clone()) for key, weight in network(model).items()}
    draw(attached(name, model, NODES[name][1]))
    after = draw(model)
    for key, weight in network(model).items():
        stride, values = weights[key]
        assert torch.equal(weight, values) and weight.stride() == stride, key
    assert torch.equal(after, before), f"up to {float((after - before).abs().max())} apart"


@pytest.mark.parametrize("name, scaled", [
    ("show-1-base", {"temp_attentions"}), ("show-1-sr1", {"temp_attentions"}), ("IF-II-L-v1.0", set()),
    ("show-1-sr2", {"temp_attentions", "attentions", "transformer_in"})])
def test_what_the_page_says_of_attention_multiply(load, name: str, scaled: set[str]) -> None:
    """Which attention has the names that the host's node looks for."""
    for node in ("UNetSelfAttentionMultiply", "UNetCrossAttentionMultiply"):
        patches = attached(node, load(name), (0.3, 0.3, 0.3, 0.3)).patches
        assert {part for key in patches for part in key.split(".") if part in ATTENTION} == scaled


ATTENTION = {"attentions", "temp_attentions", "transformer_in"}


def test_a_warning_stands_on_the_node_until_a_run_has_none(load, draw, monkeypatch) -> None:
    """Under the real host `tests/host/test_server.py` sees it arrive at the page."""
    from comfy_execution.utils import CurrentNodeContext

    shown: list[tuple[str, str]] = []
    server = SimpleNamespace(client_id="page", send_progress_text=lambda text, node, sid: shown.append((node, text)))
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    model = load("show-1-base")
    patched = attached("TomePatchModel", attached("ScaleROPE", model, NODES["ScaleROPE"][1]), (0.5,))
    for node, one in (("7", patched), ("8", model), ("7", model), ("7", model)):
        with CurrentNodeContext("prompt", node):
            draw(one)
    draw(patched)
    one, both, nothing = shown
    assert {node for node, _ in shown} == {"7"}
    assert both[1].startswith(one[1]) and "nothing to warn" in nothing[1]
    assert all(name in both[1] for name in ("TomePatchModel", "ScaleROPE"))


def network(model: Any) -> dict[str, torch.Tensor]:
    return model.model.diffusion_model.state_dict()


def test_a_control_net_is_told(load, draw, plain, t5, said) -> None:
    """What the host hands on, without a network of its own, since there is none for these models."""
    import comfy.controlnet

    control = type("Control", (comfy.controlnet.ControlBase,), {"get_control": lambda *_: {}})()
    with_control = {"control": control, "control_apply_to_uncond": True}
    texts = [[[states, {**values, **with_control}] for states, values in text] for text in t5]
    assert error(draw(load("show-1-base"), texts=texts), plain) <= 1e-4
    assert len(said()) == 1 and said()[0].startswith("Show-1: ControlNet does nothing for this model")


def test_easy_cache_saves_calls_of_the_network(load, draw) -> None:
    calls, model = [], load("show-1-base")
    with_cache = attached("EasyCacheNode", model, NODES["EasyCacheNode"][1])
    hook = model.model.diffusion_model.conv_in.register_forward_hook(lambda *_: calls.append(1))
    try:
        draw(with_cache)
    finally:
        hook.remove()
    assert 2 <= len(calls) < 5


@pytest.mark.parametrize("threshold, warns", [(0.05, False), (0.1, False), (0.11, True), (0.2, True)])
def test_easy_cache_is_warned_of_where_it_spoils_the_picture(load, draw, said, threshold, warns) -> None:
    draw(attached("EasyCacheNode", load("show-1-base"), (threshold, 0.15, 0.95, False)))
    assert [("EasyCache" in one, "0.1 at most" in one) for one in said()] == [(True, True)] * warns


def test_nothing_stands_in_for_learned_variance(pack, load, t5, said) -> None:
    """The image model's published sampler needs every call; a core sampler does without."""
    image, frame = load("IF-II-L-v1.0"), torch.rand(1, 8, 16, 3, generator=torch.Generator().manual_seed(0))
    cached = attached("EasyCacheNode", image, NODES["EasyCacheNode"][1])
    sampler = pack("nodes.pixel_sr").Show1FirstFrameSR
    one, other = (sampler.execute(model, *t5, frame, 1, 4, 5.0, 250, *PUBLISHED).args[0] for model in (image, cached))
    assert torch.equal(one, other)
    assert len(said()) == 1 and "do nothing in the published sampler" in said()[0]


@pytest.mark.slow  # the quick run has the rows of the page
@pytest.mark.parametrize("name, size", [("show-1-base", (1, 3, 2, 8, 16)), ("show-1-sr2", (1, 4, 2, 8, 16))])
def test_blocks_have_the_numbers_of_the_page(load, draw, t5, clip, name, size) -> None:
    """The same attention put in the place of every layer's is the plain run, with text among the keys or without."""
    from comfy.ldm.modules.attention import optimized_attention

    texts, seen = clip if name == "show-1-sr2" else t5, set()

    def same(q, k, v, about):
        seen.add(about["block"])
        assert q.shape[0] == 2 * size[2], "a row for each frame under each text"
        return optimized_attention(q, k, v, about["n_heads"])

    model = load(name)
    patched = model.clone()
    for way, number in [("input", number) for number in range(9)] + [("middle", 0)] + [("output", number) for number in range(9)]:
        patched.set_model_attn1_replace(same, way, number)
    assert error(draw(patched, size, texts), draw(model, size, texts)) <= 1e-4
    assert seen == NUMBERS[name]


# one layer a level, and between levels something that makes them smaller
NUMBERS = {
    "show-1-base": {("input", 3), ("input", 5), ("input", 7), ("middle", 0), *(("output", number) for number in range(6))},
    "show-1-sr2": {("input", 1), ("input", 3), ("input", 5), ("middle", 0), *(("output", number) for number in range(2, 8))},
}


def test_what_attention_comes_to_can_be_changed(load, draw, plain) -> None:
    model = load("show-1-base").clone()
    model.set_model_attn1_output_patch(lambda out, about: out * (0.5 if about["block"][0] == "output" else 1.0))
    assert error(draw(model), plain) > 1e-3


@pytest.mark.slow  # the quick run has the rows of the page
def test_self_attention_guidance_takes_pictures_of_the_latent_stage(load, draw, clip) -> None:
    model, size = load("show-1-sr2"), (2, 4, 16, 16)
    assert error(draw(attached("SelfAttentionGuidance", model, (1.0, 2.0)), size, clip), draw(model, size, clip)) > 1e-3


@pytest.mark.parametrize("name, size, frames", [("show-1-interpolation", (2, 8, 16), 5), ("show-1-sr1", (5, 8, 16), 5)])
def test_frames_for_the_network_follow_context_windows(pack, load, t5, name, size, frames) -> None:
    """The pictures that it works from come with the clip, and are cut to each window as the clip is."""
    import nodes

    model, images = load(name), torch.rand(*size, 3, generator=torch.Generator().manual_seed(0))
    core, width = pack("nodes.core_samplers"), model.model.show1.config.sample_channels
    positive, negative, latent = (
        core.Show1InterpolationConditioning.execute(*t5, images) if name == "show-1-interpolation"
        else core.Show1PixelSRConditioning.execute(*t5, images, 1, 250)).args
    given, shown = positive[0][1]["noise_concat"][0].transpose(0, 1), []  # a picture for each frame
    hook = model.model.diffusion_model.conv_in.register_forward_pre_hook(lambda _, args: shown.append(args[0][:, width:]))
    windows = attached("ContextWindowsManualNode", model, (3, 1, "standard_static", 1, False, "pyramid", 2))
    try:
        out, = nodes.KSampler().sample(windows, 3, 2, 4.0, "euler", "normal", positive, negative, latent)
    finally:
        hook.remove()
    assert out["samples"].shape[2] == frames and bool(torch.isfinite(out["samples"]).all())
    first, last = given[:3], given[2:]
    assert [len(seen) for seen in shown] == 4 * [3], "two steps of two windows"
    assert all(torch.allclose(seen, part, atol=1e-5) for seen, part in zip(shown, 2 * [first, last]))


@pytest.mark.parametrize("is_cut", [False, True])
def test_frames_that_the_host_has_cut_are_not_cut_again(load, monkeypatch, is_cut: bool) -> None:
    """Newer hosts cut them to the window themselves; 0.3.75 leaves them whole."""
    import comfy.model_base
    from comfy.context_windows import IndexListContextWindow

    window, shown = IndexListContextWindow([2, 3, 4], dim=2), []
    monkeypatch.setattr(comfy.model_base.BaseModel, "apply_model", lambda _, x, t, c_concat, **__: shown.append(c_concat))
    frames, noisy = torch.arange(5.0).reshape(1, 1, 5, 1, 1), torch.zeros(1, 3, 3, 1, 1)
    load("show-1-sr1").model.apply_model(noisy, torch.ones(1), frames[:, :, 2:] if is_cut else frames,
                                         transformer_options={"context_window": window})
    assert shown[0].flatten().tolist() == [2.0, 3.0, 4.0]
