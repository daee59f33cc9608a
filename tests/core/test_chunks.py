"""Large features in chunks, and the official way of calling the networks: all the same numbers."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from recording import error
from torch.nn import Conv2d, GroupNorm

from show1_core import cascade, load_unet, read_checkpoint
from show1_core.models.chunks import by_rows, chunk_bytes, chunk_length
from show1_core.models.clip_norm import norm_then
from show1_core.models.conditioning import without_repeats
from show1_core.models.temporal import fold_frames, unfold_frames
from show1_core.sampling import StageSampler

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from official import OfficialUNet  # noqa: E402


@pytest.mark.parametrize("most", [1, 4096, 65536])
def test_a_call_in_chunks_equals_the_recording(recorded, most):
    unet, inputs, expected = recorded
    with chunk_bytes(most):
        assert error(unet(*inputs), expected) <= 1e-5


@pytest.mark.slow  # twenty seconds; the quick run has chunks against the recording
def test_chunks_of_any_size_give_the_same_numbers(recorded):
    unet, inputs, _ = recorded
    outs = []
    for most in (1024, 16384):
        with chunk_bytes(most):
            outs.append(unet(*inputs))
    assert error(outs[0], outs[1]) <= 1e-5


def test_the_official_way_equals_the_recording(recorded):
    unet, inputs, expected = recorded
    assert error(OfficialUNet.of(unet)(*inputs), expected) <= 1e-5


def test_a_sample_under_two_texts_is_two_samples(recorded):
    """What guidance does: one clip, several texts, everything before the text once."""
    unet, (x, timestep, text, level), _ = recorded
    one, several = x[:1], text[:2]
    together = unet(one, timestep.flatten()[:1], unet.prepare(several), level if level is None else level.flatten()[:1])
    apart = unet(torch.cat([one, one]), timestep.flatten()[:1].expand(2), several,
                 level if level is None else level.flatten()[:1].expand(2))
    assert error(together, apart) <= 1e-5


def test_unasked_channels_are_left_out(recorded):
    unet, inputs, _ = recorded
    wanted = unet.config.sample_channels
    out = unet(*inputs, wanted)
    assert out.shape[1] == wanted and error(out, unet(*inputs)[:, :wanted]) <= 1e-6


def test_text_is_projected_once_however_often_the_network_is_called(recorded):
    unet, (x, timestep, text, level), _ = recorded
    layers = {name: module for name, module in unet.named_modules()
              if name.split(".")[-1] in ("add_k_proj", "add_v_proj", "encoder_hid_proj", "pool")
              or name.endswith(("attn2.to_k", "attn2.to_v")) and "temp" not in name and "transformer_in" not in name}
    assert layers
    calls = dict.fromkeys(layers, 0)

    def counting(name):
        return lambda *_: calls.__setitem__(name, calls[name] + 1)

    handles = [module.register_forward_hook(counting(name)) for name, module in layers.items()]
    prepared = unet.prepare(text)
    for _ in range(3):
        unet(x, timestep, prepared, level)
    for handle in handles:
        handle.remove()
    assert set(calls.values()) == {1}, calls


@pytest.mark.parametrize("rows, expected", [
    ([1, 1, 1, 2, 2, 2], [1, 2]), ([1, 2, 1, 2], [1, 2, 1, 2]), ([1, 1, 2], [1, 1, 2]), ([5], [5]), ([3, 3], [3]),
    ([1, 1, 2, 2, 2, 2], [1, 1, 2, 2, 2, 2])])
def test_rows_that_repeat_evenly_are_one(rows, expected):
    assert without_repeats(torch.tensor(rows)[:, None, None])[:, 0, 0].tolist() == expected


@pytest.mark.parametrize("most, rows", [(None, 8), (1, 1), (400, 1), (800, 2), (10**9, 8)])
def test_a_chunk_has_as_many_rows_as_fit(most, rows):
    x, seen = torch.zeros(8, 100), []
    with chunk_bytes(most):
        assert chunk_length(x, 8) == rows
        assert torch.equal(by_rows(lambda part: seen.append(len(part)) or part + 1, x), x + 1)
    assert max(seen) == rows and sum(seen) == 8


def pairs_apart(sample):
    """A sampler that takes the samples of a batch one after the other, as the official code takes pairs of keyframes."""

    def one_by_one(noise, condition, start, generator):
        clips = []
        for index in range(len(noise)):
            one = slice(index, index + 1)
            frames = None if condition.frames is None else condition.frames[one]
            begin = None if start is None else start[one]
            clips.append(sample(noise[one], cascade.Condition(frames, condition.noise_level), begin, generator))
        return torch.cat(clips)

    return one_by_one


@pytest.mark.parametrize("mean", [0, 10])
@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2e-3), (torch.float16, 3e-4), (torch.float32, 1e-6),
                                                 (torch.float64, 1e-14)], ids=str)
def test_a_norm_in_chunks_rounds_once(dtype, rounding, mean):
    x = (torch.randn(2, 64, 4, 8, 8, generator=torch.Generator().manual_seed(1)) + mean).to(dtype)
    norm = GroupNorm(32, 64).to(dtype)
    norm.weight.copy_(torch.linspace(0.5, 1.5, 64))
    with chunk_bytes(1024):
        out = norm_then(lambda part: part, x, norm)
    assert out.dtype == dtype and error(out.double(), copy.deepcopy(norm).double()(x.double())) <= rounding


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_what_is_put_together_of_chunks_lies_as_it_would_whole(layout):
    x = torch.randn(6, 32, 4, 4).to(memory_format=layout)
    conv, norm = Conv2d(32, 16, 3, padding=1).to(memory_format=layout), GroupNorm(32, 32)
    with chunk_bytes(2048):
        rows, clip = by_rows(conv, x), norm_then(lambda part: part * 2, unfold_frames(x, 3), norm)
    assert error(rows, conv(x)) <= 1e-6 and rows.stride() == conv(x).stride()
    assert error(clip, norm(unfold_frames(x, 3)) * 2) <= 1e-6 and fold_frames(clip).stride() == x.stride()


@pytest.mark.slow  # ten seconds
def test_the_official_way_through_all_pairs_equals_the_recording(models, texts, golden, recipe):
    checkpoint, made = read_checkpoint(models / "show-1-interpolation"), recipe["interpolate"]
    unet = OfficialUNet.of(load_unet(models / "show-1-interpolation"))
    sample = StageSampler(unet, checkpoint.identity.schedule, texts["t5"][1:], texts["t5"][:1], made["steps"], made["guidance"])
    clip = cascade.interpolate(pairs_apart(sample), golden["cascade.keyframes"], recipe["seed"])
    assert error(clip, golden["cascade.interpolated"]) <= 3e-5
