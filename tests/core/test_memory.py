"""How much of a call is done at once: decided before it, and less after a shortage, at every place of every network."""

from __future__ import annotations

import logging
import os
import sys

import pytest
import torch
from recording import chosen, error
from torch.utils._python_dispatch import TorchDispatchMode

from show1_core import memory
from show1_core.memory import FALLBACKS, Call, Device, Fallback, Level, OutOfMemory

GIGABYTE = 10**9


def call_of(unet, inputs, channels=None):
    """A recorded call as the memory takes it: the samples' own texts, or one sample under two."""
    x, timestep, text, level = inputs
    return Call(unet, x, timestep, unet.prepare(text), level, channels)


def pairs_call(unet, inputs, samples=3):
    """Several samples under two texts, as pairs of keyframes are under guidance."""
    x, timestep, text, level = inputs
    clips = torch.cat([x[:1], x[:1].flip(-1), x[:1] * 0.5])[:samples]
    numbers = [value if value is None else value.flatten()[:1].repeat(samples) for value in (timestep, level)]
    return Call(unet, clips, numbers[0], unet.prepare(text[:2].repeat_interleave(samples, dim=0)), numbers[1])


LEVELS = [Level(1), Level(2, True, 65536), Level(1, False), Level(1, False, 16384)]


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_every_level_gives_the_recorded_numbers(recorded, level):
    unet, inputs, expected = recorded
    assert error(call_of(unet, inputs).at(level), expected) <= 1e-5


@pytest.mark.slow  # forty seconds; the quick run has every level against the recording
@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_every_level_gives_the_same_numbers_for_several_samples_under_two_texts(recorded, level):
    unet, inputs, _ = recorded
    call = pairs_call(unet, inputs)
    assert error(call.at(level), call.at(Level())) <= 1e-5


@pytest.mark.slow  # ten seconds
@pytest.mark.parametrize("level", [Level(1), Level(1, False, 16384)], ids=str)
def test_channels_that_lie_last_are_no_obstacle(recorded, level):
    """Features laid out as a GPU likes them, whole and in chunks."""
    unet, inputs, expected = recorded
    lay_last(unet)
    assert error(call_of(unet, inputs).at(level), expected) <= 3e-5  # PyTorch's norm on CPUs rounds more where channels are last


def lay_last(unet):
    for parameter in unet.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@pytest.mark.slow  # ten seconds
def test_the_prompt_is_projected_once_at_every_level(recorded):
    unet, inputs, _ = recorded
    layers = [module for name, module in unet.named_modules() if name.split(".")[-1] in ("add_k_proj", "attn2.to_k")]
    layers = layers or [module for name, module in unet.named_modules() if name.endswith("attn2.to_k") and ".attentions." in name]
    calls = []
    handles = [layer.register_forward_hook(lambda module, *_: calls.append(module)) for layer in layers]
    call = pairs_call(unet, inputs)
    for _ in range(3):
        call.at(Level(1, False))
    for handle in handles:
        handle.remove()
    assert len(calls) == 2 * len(layers), "once for each of the two texts"


@pytest.mark.parametrize("samples, groups", [(4, [4]), (3, [3, 1]), (1, [1, 1, 1, 1])])
@pytest.mark.parametrize("states", [1, 2, 4, 8], ids=lambda states: f"{states} texts")
def test_samples_are_taken_in_groups_whatever_their_texts(states, samples, groups):
    """Four samples under two texts each: one text for all, one a side of guidance, one for two samples, one for each."""
    seen, text = [], memory.PreparedText(torch.Size((8, 1, 1)), torch.rand(states, 1, 1), torch.rand(states, 1))

    def network(sample, timestep, text, *_):
        seen.append(len(sample))
        texts = text.cached(network, lambda made: made + 1) + text.pooled[..., None]  # (U, 1, 1)
        return sample.repeat(text.rows // len(sample), 1, 1) * text.spread(texts, text.rows) + timestep[0]

    call = Call(network, torch.rand(4, 3, 2), torch.tensor([5.0]), text)
    expected = call.at(Level())
    seen.clear()
    assert torch.equal(call.at(Level(samples)), expected) and seen == groups
    assert torch.equal(call.at(Level(1, False)), expected)


class Places(TorchDispatchMode):
    """Notes where in the code each operation is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        frame = sys._getframe(1)
        while frame.f_back and f"{os.sep}show1_core{os.sep}" not in frame.f_code.co_filename:
            frame = frame.f_back
        self.found.append((str(func), frame.f_code.co_filename, frame.f_lineno))
        return func(*args, **kwargs or {})


class Shortage(TorchDispatchMode):
    """Memory runs out after so many operations, once."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.left -= 1
        if self.left == -1:
            raise torch.OutOfMemoryError("injected")
        return func(*args, **kwargs or {})


@pytest.mark.slow
def test_memory_that_runs_out_anywhere_is_recovered_from(small, known):
    """At every place in the code that asks for memory, once for all networks: with the result of the first fallback."""
    unet, inputs = small
    call = call_of(unet, inputs)
    with Places() as places:
        call.at(Level())
    expected = call_of(unet, inputs).at(memory.FALLBACKS[0])
    assert len(places.found) > 200
    operations = chosen([(place, number) for number, place in enumerate(places.found)], known)
    assert len(known) > 50
    relieved: list[bool] = []
    device = Device(relieve=lambda: relieved.append(True))
    for left in operations:
        fallback, call = Fallback(), call_of(unet, inputs)  # which has kept nothing of its text yet
        with Shortage(left):
            out = fallback.compute(call, Level(), device)
        assert fallback.needed == 1 and error(out, expected) <= 1e-5
    assert len(relieved) == len(operations)


class Short(torch.nn.Module):
    """A network that runs out of memory so many times."""

    def __init__(self, failures: int, raised: Exception) -> None:
        super().__init__()
        self.failures, self.raised = failures, raised

    def forward(self, sample, *_):
        self.failures -= 1
        if self.failures >= 0:
            raise self.raised
        return sample


def short_call(failures, raised=None):
    text = memory.PreparedText(torch.Size((1, 2, 4)), torch.zeros(1, 2, 4))
    raised = raised or RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
    return Call(Short(failures, raised), torch.zeros(1, 3, 2, 8, 8), torch.tensor(1), text)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_fallback_is_told_in_the_log_kept_for_the_run_and_forgotten_with_it(failures, caplog):
    fallback = Fallback()
    with caplog.at_level(logging.WARNING):
        fallback.compute(short_call(failures), Level(), Device())
    assert fallback.needed == failures and caplog.text.count("Show-1: out of memory with 8x8 with 2 frames") == failures
    fallback.compute(short_call(0), Level(), Device())
    assert fallback.needed == failures, "the rest of the run begins where it came out"
    assert Fallback().needed == 0


@pytest.mark.parametrize("raised", [
    torch.OutOfMemoryError("all gone"), MemoryError(), *map(RuntimeError, [
        "MPS backend out of memory (MPS allocated: 9 GB)", "CUDA error: out of memory", "Triton Error [CUDA]: out of memory",
        "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"])],
    ids=str)
def test_below_the_last_fallback_the_shortage_is_told(raised):
    with pytest.raises(OutOfMemory, match="8x8 with 2 frames do not fit .* half the width"):
        Fallback().compute(short_call(99, raised), Level(), Device())


def test_other_errors_are_no_shortage():
    with pytest.raises(RuntimeError, match="shapes"):
        Fallback().compute(short_call(1, RuntimeError("shapes do not match")), Level(), Device())


@pytest.mark.parametrize("free, expected", [
    (None, Level()), (100 * GIGABYTE, Level(7)), (3 * 10**8, Level(2)), (13 * 10**7, Level(1)), (7 * 10**7, Level(1, False)),
    (10**6, FALLBACKS[1])])
def test_what_is_free_decides_before_the_call(free, expected):
    """Seven pairs of keyframes of the published size under two texts, on a card with so much free."""
    from show1_core.models.unet import UNet

    unet = UNet.__new__(UNet)
    torch.nn.Module.__init__(unet)
    unet.config = type("Config", (), {"peak_elements": 320 * 7, "block_out_channels": (320,)})()
    text = memory.PreparedText(torch.Size((14, 77, 8)), torch.zeros(2, 77, 8))
    call = Call(unet, torch.zeros(7, 7, 5, 40, 64, dtype=torch.float16, device="meta"), torch.tensor(1), text)
    assert memory.decide(unet, call, Device(free=lambda: free)) == expected


class Frames(torch.nn.Module):
    """A network that says how many frames it has seen, and has no memory for more than so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, sample, _timestep, text, *_):
        self.seen.append(sample.shape[2])
        if sample.shape[2] > self.most:
            raise torch.OutOfMemoryError("injected")
        return sample.repeat(text.rows, 1, 1, 1, 1)


def long_call(unet, frames=40, windows=True, device="cpu"):
    """A clip of the latent stage's published size, or on a CPU a small one, under two texts."""
    sides = (40, 72) if device == "meta" else (2, 2)
    text = memory.PreparedText(torch.Size((2, 2, 4)), torch.zeros(2, 2, 4))
    clip = torch.randn(1, 4, frames, *sides, dtype=torch.float16, device=device)
    return Call(unet, clip, torch.tensor(1), text, takes_windows=windows)


def test_a_clip_that_does_not_fit_is_seen_in_windows_to_the_end_of_the_run(caplog):
    unet, fallback = Frames(99), Fallback()
    call = long_call(unet)
    with caplog.at_level(logging.WARNING):
        for level in (Level(1, False), Level(1, False, frames=24), Level(1, False), Level(1, False, frames=16)):
            assert torch.equal(fallback.compute(call, level, Device()), call.sample.repeat(2, 1, 1, 1, 1))
    assert sorted(set(unet.seen[2:])) == [16, 24] and unet.seen[:2] == [40, 40] and unet.seen[-1] == 16
    assert [record.args[1:] for record in caplog.records] == [(24, 6), (16, 4)], "told when they are new"


@pytest.mark.parametrize("windows, told", [(True, "windows of 8 frames that share 2"), (False, "")])
def test_when_all_else_has_failed_windows_are_tried(windows, told, caplog):
    call, fallback = long_call(Frames(8), 20, windows), Fallback()
    with caplog.at_level(logging.WARNING):
        if windows:
            assert torch.equal(fallback.compute(call, Level(), Device()), call.sample.repeat(2, 1, 1, 1, 1))
        else:
            with pytest.raises(OutOfMemory):
                fallback.compute(call, Level(), Device())
    assert told in caplog.text and ("fallback 4 of 4" in caplog.text) is windows


def test_a_clip_of_one_window_has_no_smaller_ones(caplog):
    with pytest.raises(OutOfMemory), caplog.at_level(logging.WARNING):
        Fallback().compute(long_call(Frames(1), 8), Level(), Device())
    assert "in windows" not in caplog.text
