"""The same seed again, in other company, with LoRA in between; no network, and no memory that grows."""

from __future__ import annotations

import gc
import socket
from pathlib import Path

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")
pytestmark = pytest.mark.slow  # the same runs again, in other ways
CLOSE = 1e-3


@pytest.fixture
def keyframes(pack, t5):
    def draw(model, seed=1, steps=2, text=t5):
        return pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *text, seed, steps, 5.0, 2, 8, 8, *PUBLISHED).args[0]
    return draw


@pytest.fixture
def smooth(pack, t5):
    images = torch.rand(4, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    return lambda model, seed=1: pack("nodes.interpolation").Show1Interpolator.execute(
        model, *t5, images, seed, 2, 4.0, *PUBLISHED).args[0]


def test_the_same_seed_gives_the_same_bits(load, keyframes, smooth):
    base, interpolation = load("show-1-base"), load("show-1-interpolation")
    first, between = keyframes(base), smooth(interpolation)
    assert torch.equal(keyframes(base), first) and torch.equal(smooth(interpolation), between)
    assert not torch.equal(keyframes(base, seed=2), first)


def test_two_prompts_taken_in_turns_do_not_touch_each_other(load, keyframes, smooth, t5):
    base, interpolation = load("show-1-base"), load("show-1-interpolation")
    turned = (t5[1], t5[0])
    alone = [keyframes(base), keyframes(base, text=turned), smooth(interpolation)]
    for _ in range(2):
        assert torch.equal(keyframes(base), alone[0])
        assert torch.equal(smooth(interpolation), alone[2])
        assert torch.equal(keyframes(base, text=turned), alone[1])


@pytest.mark.parametrize("chunk, together", [(2048, True), (2048, False)])
def test_a_run_in_chunks_or_a_sample_at_a_time_is_the_same_run(pack, load, keyframes, smooth, monkeypatch, chunk, together):
    """Other shapes reach other kernels, whose sums are in another order."""
    memory, unet = pack("show1_core.memory"), pack("show1_core.models.unet").UNet
    runs = ((load("show-1-base"), keyframes), (load("show-1-interpolation"), smooth))
    whole, calls, once = [run(model) for model, run in runs], [], unet.forward
    monkeypatch.setattr(unet, "forward", lambda *inputs: calls.append(len(inputs[1])) or once(*inputs))
    monkeypatch.setattr(memory, "decide", lambda *_: memory.Level(1, together, chunk))
    for (model, run), expected in zip(runs, whole, strict=True):
        assert error(run(model), expected) <= CLOSE
    each = 2 * (1 + 3) * (1 if together else 2)
    assert calls == [1] * each, "pairs, and halves, each on their own"


def test_pairs_at_once_and_one_after_the_other_are_the_same(pack, load, smooth, t5):
    """A batch reaches other kernels than one sample, whose sums are in another order."""
    images = torch.rand(4, 8, 8, 3, generator=torch.Generator().manual_seed(0))  # those of `smooth`
    model, node = load("show-1-interpolation"), pack("nodes.interpolation").Show1Interpolator
    together = smooth(model)
    for first in range(3):
        alone = node.execute(model, *t5, images[first:first + 2], 1, 2, 4.0, *PUBLISHED).args[0]
        assert error(together[4 * first:4 * first + 4], alone[:4]) <= CLOSE


@pytest.mark.parametrize("place", [0, 1])
def test_first_or_second_in_a_batch_is_the_same_take(pack, load, keyframes, t5, place):
    takes = pack("nodes.drafts").Show1KeyframeDrafts.execute(load("show-1-base"), *t5, 5, 2, 5.0, 2, 2, 8, 8, *PUBLISHED).args[0]
    assert error(takes[2 * place:2 * place + 2], keyframes(load("show-1-base"), seed=5 + place)) <= CLOSE


@pytest.mark.parametrize("name", ["show-1-base", "show-1-interpolation"])
def test_weights_that_stay_behind_give_the_same_run(pack, models, keyframes, smooth, monkeypatch, name):
    """As on a GPU with little memory. Weights that come when they are used go through layers, not through our convolutions."""
    from comfy.model_patcher import ModelPatcher

    run = keyframes if name == "show-1-base" else smooth
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / name)
    expected = run(pack("nodes.host").load_model(checkpoint, "fp32"))
    load, one_byte = ModelPatcher.load, 1
    monkeypatch.setattr(ModelPatcher, "load", lambda self, device_to=None, *_, **__: load(self, device_to, one_byte))
    model = pack("nodes.host").load_model(checkpoint, "fp32")
    assert error(run(model), expected) <= 1e-5
    layers = [layer for layer in model.model.diffusion_model.modules() if getattr(layer, "comfy_cast_weights", False)]
    assert model.model.model_lowvram and len(layers) > 50, "they were loaded after all"


def test_a_lora_leaves_no_trace(load, keyframes):
    import comfy.sd

    model = load("show-1-base")
    before, plain = {k: v.clone() for k, v in model.model.state_dict().items()}, keyframes(model)
    name, generator = "diffusion_model.mid_block.attentions.0.to_q", torch.Generator().manual_seed(0)
    width = before[f"{name}.weight"].shape[0]
    lora = {f"{name}.lora_up.weight": torch.randn(width, 2, generator=generator),
            f"{name}.lora_down.weight": torch.randn(2, width, generator=generator), f"{name}.alpha": torch.tensor(2.0)}
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)
    changed = keyframes(patched)
    assert not torch.equal(changed, plain), "the LoRA did nothing"
    assert torch.equal(keyframes(model), plain)
    assert torch.equal(keyframes(patched), changed)
    assert torch.equal(keyframes(model), plain)
    model.unpatch_model()
    assert all(torch.equal(value, before[key]) for key, value in model.model.state_dict().items())


def test_nothing_asks_the_network(pack, models, keyframes, text, monkeypatch):
    def refuse(*_args, **_kwargs):
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    host = pack("nodes.host")
    model = host.load_model(pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base"), "auto")
    encoder = text("show-1-base")
    prompts = pack("nodes.text").Show1T5Encode.execute(encoder, "A red circle", "").args
    assert bool(torch.isfinite(keyframes(model, text=prompts)).all())


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow  # half a minute: twenty runs
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the process's memory as Linux tells it")
def test_twenty_prompts_take_no_more_memory_than_ten(load, keyframes):
    model, sizes = load("show-1-base"), []
    for number in range(30):
        length = 5 + 3 * (number % 7)
        states = torch.randn(1, length, 64, generator=torch.Generator().manual_seed(number))
        keyframes(model, seed=number, text=([[states, {}]], [[states * 0, {}]]))
        gc.collect()
        sizes.append(resident())
    # the first ten fill the allocator's and the libraries' rooms
    settled, end = sum(sizes[10:15]) / 5, sum(sizes[25:]) / 5
    print([size >> 20 for size in sizes])
    assert abs(end / settled - 1) <= 0.01
