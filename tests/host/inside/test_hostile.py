"""Hostile names and texts in every input that takes one, and the user's cancel at every step of every stage."""

from __future__ import annotations

import gc

import pytest
import torch

PUBLISHED = ("published", "published")
NAMES = ["../show-1-base", "/etc/passwd", "~/show-1-base", "show-1-base\x00", "C:\\models\\a", "\\\\server\\share\\a", "",
         ".", "..", "show-1-base/../show-1-base", "CON", "NUL", "file:///etc/passwd", "http://127.0.0.1/a", "show-1-base\n",
         "\u202e", "x" * 9999]
PROMPTS = ["", " ", "a" * 10_000, "word " * 3000, "\U0001f388\U0001f98a a red balloon",
           "\u0643\u0631\u0629 \u062d\u0645\u0631\u0627\u0621", "\u7ea2\u8272\u7684\u5706\u5708", "a\x00b\x07c",
           "../../etc/passwd",
           "C:\\con", "<img src=x onerror=alert(1)>", '{"a": [1', "(red:1.5) [blue]", "embedding:../../secret", "\ud7ff\ufffe",
           "%s %n {}", "a\r\nb\tc", "\u202eright to left"]


@pytest.mark.parametrize("loader, given", [
    ("Show1ModelLoader", {"dtype": "auto", "kernels": "auto"}), ("Show1TextEncoderLoader", {}), ("Show1VAELoader", {})])
def test_no_name_leaves_the_listing(pack, loader, given, monkeypatch):
    node = getattr(pack("nodes.loaders"), loader)
    field = {"Show1ModelLoader": "model", "Show1TextEncoderLoader": "text_encoder", "Show1VAELoader": "vae"}[loader]
    for part in ("checkpoints.read_checkpoint", "weights.read_tensors", "weights.read_json"):
        module, name = part.split(".")
        monkeypatch.setattr(pack(f"show1_core.{module}"), name, lambda *_: pytest.fail("a file was opened"))
    for name in NAMES:
        sentence = node.validate_inputs(**{field: name})
        assert isinstance(sentence, str) and "is not there" in sentence
        with pytest.raises(ValueError, match="is not there"):
            node.execute(**{field: name}, **given)


@pytest.mark.parametrize("clean", [False, True])
def test_every_prompt_is_text_and_nothing_else(pack, text, clean, monkeypatch):
    encoder, seen = text("show-1-base"), []
    monkeypatch.setattr("builtins.open", lambda *names, **_: seen.append(names) or pytest.fail(f"{names} was opened"))
    for prompt in PROMPTS:
        for conditioning in pack("nodes.text").Show1T5Encode.execute(encoder, prompt, prompt[::-1], clean).args:
            states = conditioning[0][0]
            assert states.shape == (1, 77, 64) and bool(torch.isfinite(states).all())
    assert not seen


MEGABYTE = 2**20


def memory() -> int:
    """Bytes that tensors alive hold, each storage once."""
    gc.collect()
    plain = (torch.Tensor, torch.nn.Parameter)  # what a compiler has left behind holds no bytes, and none are asked of it
    storages = [value.untyped_storage() for value in gc.get_objects() if type(value) in plain and not value.is_meta]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.slow  # a minute: every step of every stage
@pytest.mark.parametrize("checkpoint, steps", [
    ("show-1-base", 3), ("show-1-interpolation", 3), ("IF-II-L-v1.0", 3), ("show-1-sr1", 6), ("show-1-sr2", 3)])
def test_cancel_at_every_step_stops_within_a_layer(pack, load, t5, clip, vae, checkpoint, steps):
    import comfy.model_management as mm

    images = torch.rand(10, 8, 8, 3, generator=torch.Generator().manual_seed(0))  # two windows of the upscaler
    model, pixel = load(checkpoint), pack("nodes.pixel_sr")
    keyframes, interpolation = pack("nodes.keyframes").Show1KeyframeSampler, pack("nodes.interpolation").Show1Interpolator
    latent = pack("nodes.latent_sr").Show1LatentSR

    def run():
        return {
            "show-1-base": lambda: keyframes.execute(model, *t5, 1, 3, 5.0, 2, 8, 8, *PUBLISHED),
            "show-1-interpolation": lambda: interpolation.execute(model, *t5, images, 1, 3, 4.0, *PUBLISHED),
            "IF-II-L-v1.0": lambda: pixel.Show1FirstFrameSR.execute(model, *t5, images, 1, 3, 4.0, 150, *PUBLISHED),
            "show-1-sr1": lambda: pixel.Show1PixelSR.execute(model, *t5, images, 1, 3, 7.0, 250, *PUBLISHED),
            "show-1-sr2": lambda: latent.execute(model, vae, *clip, images, 1, 3, 15.0, 1.0, 64, 64, *PUBLISHED),
        }[checkpoint]().args[0]

    whole, unet = run(), model.model.diffusion_model
    middle, called = unet.mid_block.resnets[0].conv1, []
    layers = [layer for layer in unet.modules() if layer is not middle and hasattr(layer, "weight")]
    later = [layer.register_forward_hook(lambda *_: called.append("later")) for layer in layers]
    middle.register_forward_hook(lambda *_: called.append("again"))
    run()
    assert called.count("again") >= steps and called.count("later") > 20 * steps
    before = memory()
    for stop in range(1, steps + 1):
        called.clear()

        def cancel(*_, stop=stop):
            if called.count("again") == stop:
                mm.interrupt_current_processing(True)
                called.append("cancelled")

        hook = middle.register_forward_hook(cancel)
        with pytest.raises(mm.InterruptProcessingException):
            run()
        hook.remove()
        assert called[-1] == "cancelled", "another layer ran after the cancel"
        mm.interrupt_current_processing(False)
        assert memory() <= before + MEGABYTE
    for hook in later:
        hook.remove()
    assert torch.equal(run(), whole)


@pytest.mark.slow  # half a minute: each model is loaded anew
@pytest.mark.parametrize("what, layer", [
    ("model", 1), ("model", 2), ("model", 30), ("model", 100), ("t5", 1), ("t5", 20), ("clip", 1), ("clip", 20)])
def test_cancel_while_loading_stops_before_the_next_layer(pack, models, text, monkeypatch, what, layer):
    import comfy.model_management as mm

    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")
    load = {"model": lambda: pack("nodes.host").load_model(checkpoint, "fp32"),
            "t5": lambda: text("show-1-base"), "clip": lambda: text("show-1-sr2")}[what]
    load()
    before, looked, look = memory(), [], mm.throw_exception_if_processing_interrupted

    def cancelled_then():
        looked.append(None)
        if len(looked) == layer:
            mm.interrupt_current_processing(True)
        look()

    monkeypatch.setattr(mm, "throw_exception_if_processing_interrupted", cancelled_then)
    with pytest.raises(mm.InterruptProcessingException):
        load()
    assert len(looked) == layer
    mm.interrupt_current_processing(False)
    assert memory() <= before + MEGABYTE
    load()
