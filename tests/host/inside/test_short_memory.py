"""What the host's samplers do when memory is short or a layer makes NaN or infinity."""

from __future__ import annotations

import gc
import logging

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")
LAYER = "mid_block.resnets.0.conv2"


@pytest.fixture
def keyframes(pack, t5):
    def draw(model, steps=3, height=8):
        return pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, 1, steps, 5.0, 2, 8, height, *PUBLISHED).args[0]
    return draw


@pytest.fixture
def model(pack, models):
    """A MODEL of its own, for tests that spoil it."""
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")
    return lambda dtype="fp32": pack("nodes.host").load_model(checkpoint, dtype)


def spoil(model, when):
    """A layer gives NaN in the calls for which `when(number, output)` holds."""
    calls = []

    def hook(_module, _inputs, out):
        calls.append(out.dtype)
        return torch.full_like(out, float("nan")) if when(len(calls), out) else None

    model.model.diffusion_model.get_submodule(LAYER).register_forward_hook(hook)
    return calls


def test_stage_step_and_layer_are_named(model, keyframes):
    bad = model()
    spoil(bad, lambda number, _: number >= 2)  # the third call is the one that looks for the layer
    with pytest.raises(RuntimeError, match=f"keyframe model stopped in step 2 of 3: {LAYER} holds .* in torch.float32; its file"):
        keyframes(bad)


def test_the_layer_is_named_where_calls_are_replayed(pack, model, keyframes, monkeypatch):
    """A replay, played by a stand-in, calls no layer: nothing in it can be looked at."""
    bad, given = model(), []

    def replayed(call, _inputs):
        def replay(*values):
            given.append(call(*values) if len(given) < 2 else torch.full_like(given[0], float("nan")))  # after its trial
            return given[-1]
        return replay

    monkeypatch.setattr(pack("nodes.host.network"), "obstacle", lambda *_: None)
    monkeypatch.setattr(pack("show1_core.models.whole_calls"), "WORTH", float("inf"))
    bad.model.diffusion_model.ways = {"graph": replayed}
    spoil(bad, lambda number, _: number > 5)  # three plain calls and two of the trial
    with pytest.raises(RuntimeError, match=f"stopped in step 4 of 5: {LAYER} holds"):
        keyframes(bad, steps=5)
    assert len(given) == 3


def test_a_sampler_that_makes_no_numbers_is_told_from_a_network_that_does(model, keyframes, monkeypatch):
    import comfy.k_diffusion.sampling

    def lost(network, x, sigmas, extra_args, *_, **__):
        return network(x * float("nan"), sigmas[:1].expand(len(x)), **extra_args)

    monkeypatch.setattr(comfy.k_diffusion.sampling, "sample_dpmpp_2m", lost)
    with pytest.raises(RuntimeError, match="the input of conv_in holds .*; try another sampler than published") as refused:
        keyframes(model())
    assert refused.type is RuntimeError, "the host shows users the names of other classes"


def test_half_precision_that_was_not_asked_for_is_tried_once_more_in_a_wider_one(pack, model, keyframes, monkeypatch, caplog):
    import comfy.model_management

    monkeypatch.setattr(comfy.model_management, "unet_dtype", lambda *_, **__: torch.float16)
    monkeypatch.setattr(comfy.model_management, "unet_manual_cast", lambda *_, **__: None)
    automatic = model("auto")
    calls = spoil(automatic, lambda _, out: out.dtype == torch.float16)
    with caplog.at_level(logging.WARNING):
        out = keyframes(automatic)
    assert torch.float16 in calls and calls[-1] in (torch.float32, torch.bfloat16)
    assert bool(torch.isfinite(out).all()) and "It is done again in" in caplog.text
    asked_for = model("fp16")
    spoil(asked_for, lambda _, out: out.dtype == torch.float16)
    with pytest.raises(RuntimeError, match="load it with dtype bf16 or fp32"):
        keyframes(asked_for)


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_short_memory_costs_time_and_nothing_else(pack, model, keyframes, failures, caplog):
    expected = keyframes(model())
    short, left = model(), [failures]

    def hook(*_):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("injected")

    short.model.diffusion_model.get_submodule(LAYER).register_forward_hook(hook)
    with caplog.at_level(logging.WARNING):
        assert error(keyframes(short), expected) <= 1e-5
    assert caplog.text.count("Show-1: out of memory with 8x8 with 2 frames") == failures
    caplog.clear()
    keyframes(short)
    assert "out of memory" not in caplog.text, "the next run begins without"


def test_too_little_memory_is_one_sentence_with_a_smaller_size(pack, model, keyframes):
    short = model()

    def hook(*_):
        raise torch.OutOfMemoryError("injected")

    short.model.diffusion_model.get_submodule(LAYER).register_forward_hook(hook)
    with pytest.raises(RuntimeError, match="8x8 with 2 frames do not fit .* in parts.*; try .* half the width") as refused:
        keyframes(short)
    assert "\n" not in str(refused.value) and refused.type is RuntimeError


def test_text_is_projected_once_a_run_and_nothing_stays(pack, load, t5):
    """Two windows of several steps: each projection of the prompt is called once, and its memory goes with the run."""
    model, memories = load("show-1-sr1"), pack("nodes.host.run_memory").RunMemory
    unet, calls = model.model.diffusion_model, []
    layers = [module for name, module in unet.named_modules() if name.split(".")[-1] in ("add_k_proj", "encoder_hid_proj")]
    handles = [layer.register_forward_hook(lambda module, *_: calls.append(module)) for layer in layers]
    images = torch.rand(10, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    pack("nodes.pixel_sr").Show1PixelSR.execute(model, *t5, images, 1, 3, 7.0, 250, *PUBLISHED)
    for handle in handles:
        handle.remove()
    assert len(calls) == len(layers) and set(calls) == set(layers)
    gc.collect()
    assert not [value for value in gc.get_objects() if isinstance(value, memories)]


@pytest.fixture
def counted(pack, monkeypatch):
    """Calls of a network that computes nothing: how often it is asked is what counts."""
    calls = []

    def quick(self, sample, timestep, text, noise_level=None, channels=None):
        calls.append(len(sample))
        return torch.zeros(text.rows, channels, *sample.shape[2:])

    monkeypatch.setattr(pack("show1_core.models.unet").UNet, "forward", quick)
    return calls


def images(frames, height=8, width=8):
    return torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow  # the published number of steps
@pytest.mark.parametrize("checkpoint, node, arguments, calls", [
    ("show-1-base", "keyframes.Show1KeyframeSampler", (1, 75, 9.0, 8, 8, 8), 75),
    ("show-1-interpolation", "interpolation.Show1Interpolator", (images(8), 1, 75, 4.0), 75),
    ("IF-II-L-v1.0", "pixel_sr.Show1FirstFrameSR", (images(1), 1, 70, 4.0, 150), 70),
    ("show-1-sr1", "pixel_sr.Show1PixelSR", (images(29), 1, 125, 7.0, 250), 500)])
def test_calls_of_the_published_run(pack, load, t5, counted, checkpoint, node, arguments, calls):
    part, name = node.split(".")
    getattr(pack(f"nodes.{part}"), name).execute(load(checkpoint), *t5, *arguments, *PUBLISHED)
    assert len(counted) == calls


def test_calls_of_the_published_last_stage(pack, load, clip, vae, counted):
    pack("nodes.latent_sr").Show1LatentSR.execute(
        load("show-1-sr2"), vae, *clip, images(29, 64, 64), 1, 50, 15.0, 0.8, 64, 64, *PUBLISHED)
    assert counted == [1] * 40


@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("checkpoint", ["show-1-base", "show-1-interpolation", "show-1-sr1", "show-1-sr2"])
def test_the_host_is_told_what_a_call_needs(load, monkeypatch, checkpoint, flash):
    """With flash attention or without it, which the host by itself reckons seven times as dear."""
    import comfy.model_management as mm

    monkeypatch.setattr(mm, "pytorch_attention_flash_attention", lambda: flash)
    model = load(checkpoint).model
    config = model.show1.config
    assert model.memory_required([2, config.in_channels, 8, 40, 64]) == 2 * 8 * 40 * 64 * config.peak_elements * 4


def line_of(caplog):
    """What a run has said of itself, which is one line."""
    line, = (record.message for record in caplog.records if record.message.startswith("Show-1:"))
    caplog.clear()
    return line


@pytest.mark.parametrize("guidance, halves", [(5.0, "joined"), (1.0, "none")])
def test_a_run_is_one_line_in_the_log(pack, load, t5, caplog, guidance, halves):
    """Two windows of our node are one run."""
    images = torch.rand(10, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.INFO):
        pack("nodes.pixel_sr").Show1PixelSR.execute(load("show-1-sr1"), *t5, images, 1, 3, guidance, 250, *PUBLISHED)
    line = line_of(caplog)
    for part in ("the pixel super-resolution model, 32x32, 8 frames, float32", "weights on cpu",
                 "kernels: convolution eager/flat", "group_norm eager", "group_norm triton",
                 "the tensors are on cpu",
                 f"guidance {halves}", "6 calls", " s, process memory"):
        assert part in line


@pytest.mark.parametrize("guidance, halves", [(5.0, "joined"), (1.0, "none")])
def test_a_run_of_a_core_sampler_says_the_same(load, t5, caplog, guidance, halves):
    import nodes

    for _ in range(2):  # runs of one MODEL
        with caplog.at_level(logging.INFO):
            nodes.KSampler().sample(load("show-1-base"), 3, 2, guidance, "euler", "simple", *t5,
                                    {"samples": torch.zeros(1, 3, 2, 8, 8)})
        line = line_of(caplog)
        for part in ("the keyframe model, 8x8, 2 frames, float32", "kernels: convolution eager/flat", f"guidance {halves}",
                     "2 calls"):
            assert part in line
