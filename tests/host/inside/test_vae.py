"""The VAE is held to what the networks are: no NaN goes on, short memory costs time, and a cancel stops within a layer."""

from __future__ import annotations

import logging

import pytest
import torch

FRAMES, LATENTS = torch.rand(5, 64, 72, 3), torch.randn(1, 4, 5, 8, 9)
HALVES = {"encode": ("encoder", FRAMES), "decode": ("decoder", LATENTS)}


@pytest.fixture
def halves(pack):
    """Both directions as functions of a VAE."""
    host = pack("nodes.host")
    return {"encode": lambda vae: host.encode_posterior(vae, FRAMES).mean, "decode": lambda vae: host.decode(vae, LATENTS)}


@pytest.fixture
def own_vae(pack, models):
    """A VAE of its own, for tests that spoil it."""
    weights, folder = pack("show1_core.weights"), models / "show-1-sr2" / "vae"
    tensors = weights.read_tensors(weights.find_weights(folder, "diffusion_pytorch_model"))
    return pack("nodes.host").load_vae(tensors, weights.read_json(folder / "config.json"))


def spoil(vae, half, value, when=lambda out: True):
    """The last layer of a half gives NaN or infinity."""
    def hook(_module, _inputs, out):
        return out.index_fill(2, torch.tensor([0]), value) if when(out) else None
    getattr(vae.first_stage_model, HALVES[half][0]).conv_out.register_forward_hook(hook)


def run_short(vae, half, most):
    """Memory of a half suffices for `most` pixels or latents at once."""
    def hook(_module, inputs):
        frames, _, height, width = inputs[0].shape
        if frames * height * width > most:
            raise torch.OutOfMemoryError("injected")
    getattr(vae.first_stage_model, HALVES[half][0]).conv_in.register_forward_pre_hook(hook)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_stop_the_run_and_name_the_half(own_vae, halves, half, value):
    spoil(own_vae, half, value)
    with pytest.raises(RuntimeError, match=f"the VAE's {half} made NaN or infinity in torch.float32; its file") as refused:
        halves[half](own_vae)
    assert refused.type is RuntimeError and "\n" not in str(refused.value)


def test_the_latent_node_hands_no_nan_on(pack, load, clip, own_vae):
    spoil(own_vae, "decode", float("nan"))
    with pytest.raises(RuntimeError, match="the VAE's decode made NaN"):
        pack("nodes.latent_sr").Show1LatentSR.execute(
            load("show-1-sr2"), own_vae, *clip, FRAMES[:1], 1, 2, 15.0, 0.8, 64, 64, "published", "published")


@pytest.mark.parametrize("half", HALVES)
def test_a_type_nobody_chose_is_widened_once(own_vae, halves, half, monkeypatch, caplog):
    import comfy.model_management as mm

    expected = halves[half](own_vae)
    own_vae.vae_dtype = torch.bfloat16
    own_vae.first_stage_model.to(torch.bfloat16)
    monkeypatch.setattr(mm, "vae_dtype", lambda *_: torch.bfloat16)
    spoil(own_vae, half, float("nan"), lambda out: out.dtype == torch.bfloat16)
    with caplog.at_level(logging.WARNING):
        found = halves[half](own_vae)
    assert f"Show-1: the VAE's {half} made NaN or infinity in torch.bfloat16; it is done again in torch.float32" in caplog.text
    assert (found - expected).abs().max() < 0.1
    monkeypatch.setattr("comfy.cli_args.args.bf16_vae", True)
    with pytest.raises(RuntimeError, match="in torch.bfloat16; start ComfyUI without --bf16-vae"):
        halves[half](own_vae)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("bad", [1, 3])
def test_short_memory_is_emptied_and_gives_the_same_bits(own_vae, halves, monkeypatch, caplog, half, bad):
    import comfy.model_management as mm

    expected, calls, freed = halves[half](own_vae), [], []
    monkeypatch.setattr(mm, "free_memory", lambda needed, *_: freed.append(needed) or [])

    def hook(_module, inputs):
        calls.append(len(inputs[0]))
        if len(calls) == bad:
            raise torch.OutOfMemoryError("injected")
    getattr(own_vae.first_stage_model, HALVES[half][0]).conv_in.register_forward_pre_hook(hook)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(halves[half](own_vae), expected)
    assert calls == [1] * 6 and 1e30 in freed
    said, = (record.message for record in caplog.records)
    assert said.startswith("Show-1") and half in said


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("frames", [slice(0, 1), slice(1, 4)])
def test_a_frame_has_its_bits_whatever_is_beside_it(pack, own_vae, halves, half, frames):
    host = pack("nodes.host")
    alone = {"encode": lambda: host.encode_posterior(own_vae, FRAMES[frames]).mean,
             "decode": lambda: host.decode(own_vae, LATENTS[:, :, frames])}[half]()
    assert torch.equal(alone, halves[half](own_vae)[frames])


@pytest.mark.parametrize("half, size", [("encode", 64 * 64), ("decode", 8 * 8)])
def test_tiles_are_said_in_the_log(pack, own_vae, halves, monkeypatch, caplog, half, size):
    expected = halves[half](own_vae)
    monkeypatch.setattr(pack("nodes.host.vae_frames"), "TILES", (64, 32))
    run_short(own_vae, half, size)
    with caplog.at_level(logging.WARNING):
        found = halves[half](own_vae)
    assert found.shape == expected.shape and not torch.equal(found, expected)
    said = [record.message for record in caplog.records if "tiles" in record.message]
    assert said[0].startswith("Show-1") and "72x64" in said[0] and half in said[0]


@pytest.mark.parametrize("half", HALVES)
def test_too_little_memory_for_a_tile_is_one_sentence_with_a_size(own_vae, halves, half):
    run_short(own_vae, half, 0)
    with pytest.raises(RuntimeError, match=f"the VAE's {half} of 72x64 does not fit .* such as 64x64") as refused:
        halves[half](own_vae)
    assert refused.type is RuntimeError and "\n" not in str(refused.value)


@pytest.mark.parametrize("half", HALVES)
def test_any_other_error_is_an_error(own_vae, halves, half):
    def hook(*_):
        raise RuntimeError("another")
    getattr(own_vae.first_stage_model, HALVES[half][0]).conv_in.register_forward_pre_hook(hook)
    with pytest.raises(RuntimeError, match="^another$"):
        halves[half](own_vae)


@pytest.mark.parametrize("half", HALVES)
def test_a_cancel_stops_within_a_layer_and_progress_is_shown(own_vae, halves, half, monkeypatch):
    import comfy.model_management as mm
    import comfy.utils

    shown, part = [], getattr(own_vae.first_stage_model, HALVES[half][0])
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda done, total, *_, **__: shown.append((done, total)))
    halves[half](own_vae)
    assert shown == [(count, 5) for count in range(1, 6)]
    calls = []

    def cancel(*_):
        calls.append("first")
        mm.interrupt_current_processing(len(calls) == 2)
    part.conv_in.register_forward_hook(cancel)
    last = []
    part.conv_out.register_forward_hook(lambda *_: last.append("last"))
    with pytest.raises(mm.InterruptProcessingException):
        halves[half](own_vae)
    mm.interrupt_current_processing(False)
    assert len(calls) == 2 and len(last) == 1, "it went on after the cancel"
