"""Large features in pieces, and the official way of calling the networks: all the same numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from plain_sampler import plain_sample
from recording import error

from show1_core import cascade, load_unet, read_checkpoint
from show1_core.models.conditioning import without_repeats
from show1_core.models.pieces import at_once, by_rows, piece_bytes

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from official import OfficialUNet, pairs_apart  # noqa: E402


@pytest.mark.parametrize("most", [1, 4096, 65536])
def test_a_call_in_pieces_equals_the_recording(recorded, most):
    unet, inputs, expected = recorded
    with piece_bytes(most):
        assert error(unet(*inputs), expected) <= 1e-5


def test_pieces_of_any_size_give_the_same_numbers(recorded):
    unet, inputs, _ = recorded
    outs = []
    for most in (1024, 16384):
        with piece_bytes(most):
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


def test_samples_in_groups_are_samples_together(recorded):
    """Three samples under two texts, as pairs of keyframes are under guidance."""
    unet, (x, timestep, text, level), _ = recorded
    samples = torch.cat([x[:1], x[:1].flip(-1), x[:1] * 0.5])
    numbers = [value if value is None else value.flatten()[:1].repeat(3) for value in (timestep, level)]
    prepared = unet.prepare(text[:2].repeat_interleave(3, dim=0))
    together = unet(samples, numbers[0], prepared, numbers[1])
    with piece_bytes(1024):
        grouped = unet(samples, numbers[0], prepared, numbers[1])
    assert error(grouped, together) <= 1e-5
    alone = unet(samples[1:2], numbers[0][:1], unet.prepare(text[:2]), level if level is None else numbers[1][:1])
    assert error(together[[1, 4]], alone) <= 1e-5


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
def test_a_piece_has_as_many_rows_as_fit(most, rows):
    x, seen = torch.zeros(8, 100), []
    with piece_bytes(most):
        assert at_once(x, 8) == rows
        assert torch.equal(by_rows(lambda part: seen.append(len(part)) or part + 1, x), x + 1)
    assert max(seen) == rows and sum(seen) == 8


def test_the_official_way_through_all_pairs_equals_the_recording(models, texts, golden, recipe):
    checkpoint, made = read_checkpoint(models / "show-1-interpolation"), recipe["interpolate"]
    unet = OfficialUNet.of(load_unet(models / "show-1-interpolation"))
    sample = plain_sample(unet, checkpoint.identity.schedule, texts["t5"], made["guidance"], made["steps"])
    clip = cascade.interpolate(pairs_apart(sample), golden["cascade.keyframes"], recipe["seed"])
    assert error(clip, golden["cascade.interpolated"]) <= 3e-5
