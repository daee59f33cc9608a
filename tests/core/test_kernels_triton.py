"""The Triton kernels against float64 eager: on a GPU where there is one, else in Triton's interpreter.

The interpreter has to be asked for before Triton is imported, so `test_kernels.py` runs this file in a process of its
own. What is run is read off the kernels' own limits: every dtype, activation and size they take.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import GroupNorm

from show1_core.kernels import (
    GATED,
    GROUP_NORM,
    RESIDUAL_SUM,
    TEMPORAL_ATTENTION,
    Selection,
    chosen_by,
    explain,
    use_backend,
)
from show1_core.kernels import group_norm as group_norm_call
from show1_core.kernels.attention import MOST_FRAMES, MOST_HEAD
from show1_core.kernels.group_norm import ACTIVATIONS, plan
from show1_core.kernels.requirements import FLOATS, HALF, weights_looked_at
from show1_core.kernels.triton_guard import INTERPRETED, triton
from show1_core.models.blocks import ResnetBlock, ResnetUp
from show1_core.models.layout import lay_out
from show1_core.models.temporal import TemporalConv, TemporalTransformer

if triton is None:
    pytest.skip("needs a GPU with Triton, or the process that test_kernels.py starts", allow_module_level=True)

DEVICE = "cpu" if INTERPRETED else "cuda"
LAST = torch.channels_last
TOLERANCE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}  # of the norm
HEADS = ((5, 4, 10), (8, 3, 12), (3, 2, 15), (8, 2, 20), (29, 2, 64), (1, 1, 16))  # frames, heads, channels a head
# The interpreter multiplies matrices of bfloat16 by their bits, so float32 is in its place.
MULTIPLIED = (torch.float16, torch.float32) if INTERPRETED else HALF


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def layouts(batch, channels, frames, height, width, dtype):
    """The same clip, (B, C, F, H, W), as it may lie in memory: whole, and a part of a wider one full of NaN."""
    clip = noise(batch * frames, channels, height, width, dtype=dtype)
    wide = torch.cat([torch.full_like(clip, torch.nan), clip], dim=1).contiguous(memory_format=LAST)
    return [x.unflatten(0, (batch, frames)).transpose(1, 2) for x in (clip.contiguous(memory_format=LAST), wide[:, channels:])]


@pytest.fixture(autouse=True)
def poisoned():
    """Fresh memory is full of NaN, so that an element no one writes shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(3, device=DEVICE).isnan().all() and torch.empty_like(torch.ones(3, device=DEVICE)).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def exact(value):
    """Inputs of the reference: float64."""
    if isinstance(value, GroupNorm):
        made = GroupNorm(value.num_groups, value.num_channels, eps=value.eps).to(DEVICE, torch.float64)
        made.load_state_dict(value.state_dict())
        return made
    return value.double() if isinstance(value, torch.Tensor) else value


def check(function, *inputs):
    """The kernel takes these inputs, leaves them alone, and comes close to the reference."""
    kernel, reference = function.backends[0], function.backends[-1]
    dtype = inputs[0].dtype
    if function is not TEMPORAL_ATTENTION or dtype in HALF:
        assert explain(function, *inputs)["triton"] == ()
    before = [value.clone() if isinstance(value, torch.Tensor) else value for value in inputs]
    out = kernel.run(*inputs)
    expected = reference.run(*map(exact, inputs))
    assert out.shape == expected.shape and out.dtype == dtype and not out.isnan().any()
    assert ((out.double() - expected).norm() / expected.norm()).item() <= TOLERANCE[dtype]
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(inputs, before) if isinstance(a, torch.Tensor))
    if not INTERPRETED:
        assert torch.equal(out, kernel.run(*inputs))  # the same bits every time
    return out


def group_norm_layer(groups, channels, dtype):
    norm = GroupNorm(groups, channels)
    norm.weight.copy_(noise(channels, seed=1))
    norm.bias.copy_(noise(channels, seed=2))
    return norm.to(DEVICE, dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("added", [None, (10,), (2, 10)], ids=str)
def test_group_norm(dtype, act, scaled, added):
    norm = group_norm_layer(2, 10, dtype)
    affine = noise(2, 20, dtype=dtype, seed=3) if scaled else None
    bias = None if added is None else noise(*added, dtype=dtype, seed=4)
    for clip in layouts(2, 10, 3, 4, 5, dtype):
        out = check(GROUP_NORM, clip, norm, act, affine, bias)
        assert out.stride() == torch.empty_like(clip).stride()
    for clip in layouts(2, 10, 1, 4, 5, dtype):
        check(GROUP_NORM, clip[:, :, 0], norm, act, affine, bias)  # images


@pytest.mark.parametrize("shape, groups, parts", [
    ((2, 4, 1, 1), 4, 1), ((3, 32, 1, 7), 32, 1), ((1, 6, 3, 41, 67), 1, 7), ((1, 2, 2, 70, 66), 2, 3),
    ((2, 320, 4, 8), 32, 1), ((1, 128, 2, 20, 32), 32, 5)], ids=str)
def test_group_norm_in_chunks_and_corners(shape, groups, parts):
    """One value a group (whose norm is zero), one row, chunks with an odd end, the published kinds of groups."""
    x = noise(*shape).contiguous(memory_format=LAST) if len(shape) == 4 else noise(
        shape[0], *shape[2:], shape[1]).permute(0, 4, 1, 2, 3)
    assert plan(x, groups).parts == parts
    check(GROUP_NORM, x, group_norm_layer(groups, shape[1], torch.float32), "silu", None, noise(shape[1], seed=5))


@pytest.mark.parametrize("size", [64, 16])
def test_group_norm_far_from_zero_keeps_its_variance(size):
    """The mean of the squares less the square of the mean would be all rounding."""
    x = (noise(1, 4, size, size) + 3000.0).contiguous(memory_format=LAST)
    out = GROUP_NORM.backends[0].run(x, group_norm_layer(1, 4, torch.float32), "none", None, None)
    expected = GROUP_NORM.backends[-1].run(x.double(), exact(group_norm_layer(1, 4, torch.float32)), "none", None, None)
    assert ((out - expected).norm() / expected.norm()).item() < 2e-4  # half a bit of 3000


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("scale", [1.0, 1.4142271248762552])
def test_residual_sum(dtype, scale):
    for shape, biased in itertools.product(((2, 10, 3, 4, 5), (3, 48, 1, 9, 11), (1, 3, 1, 1, 1)), (True, False)):
        x, h = layouts(*shape, dtype)[0], noise(*shape, dtype=dtype, seed=6)
        h = h.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
        bias = noise(shape[1], dtype=dtype, seed=7) if biased else None
        out = check(RESIDUAL_SUM, x, h, bias, scale)
        assert out.stride() == torch.empty_like(x).stride()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(2, 3, 20), (5, 48), (9, 2 * 1281), (1, 2)])
def test_gated(dtype, shape):
    check(GATED, noise(*shape, dtype=dtype))


@pytest.mark.parametrize("dtype", MULTIPLIED, ids=str)
@pytest.mark.parametrize("frames, heads, size", [*HEADS, (MOST_FRAMES, 1, 8), (2, 1, MOST_HEAD)])
def test_temporal_attention(dtype, frames, heads, size):
    pixels = 64 // frames + 2  # one tile and a little
    together = noise(2, frames, pixels, 3 * heads * size, dtype=dtype)  # as one projection would make them
    check(TEMPORAL_ATTENTION, *together.chunk(3, dim=-1), heads)
    apart = [noise(2, pixels, frames, heads * size, dtype=dtype, seed=seed).transpose(1, 2) * 3 for seed in range(3)]
    check(TEMPORAL_ATTENTION, *apart, heads)


CONFIG = SimpleNamespace(activation="gelu", skip_time_act=False, time_scale_shift=True, norm_groups=8, norm_eps=1e-5,
                         time_embedding_dim=16)


@pytest.mark.parametrize("make, inputs", [
    (lambda: ResnetBlock((32, 64), CONFIG, 1.4, nn), (noise(3, 16),)),
    (lambda: ResnetUp((32, 32), CONFIG, 1.0, nn), (noise(3, 16),)),
    (lambda: TemporalConv(32, nn), (3,)), (lambda: TemporalTransformer(32, 2, 16, 8, nn), (3,))],
    ids=["resnet", "doubling resnet", "temporal conv", "temporal transformer"])
def test_the_layers_of_the_unet_on_kernels_alone(make, inputs):
    """No kernel steps aside in them."""
    torch.manual_seed(0)
    x, module = noise(3, 32, 4, 4), make().eval().to(DEVICE)
    with use_backend("eager"):
        expected = module(x, *inputs)

    def half(value):
        return value.half() if isinstance(value, torch.Tensor) else value

    lay_out(module.half(), DEVICE)
    selection = Selection()
    with use_backend("any"), chosen_by(selection):
        out = module(half(x).contiguous(memory_format=LAST), *map(half, inputs))
    assert ((out - expected).norm() / expected.norm()).item() < 2e-3
    with_kernels = {function.name for function in (GATED, GROUP_NORM, RESIDUAL_SUM, TEMPORAL_ATTENTION)}
    assert {*itertools.chain(*(found for name, found in selection.served.items() if name in with_kernels))} == {"triton"}


def test_a_layer_that_is_cast_on_the_fly_runs_eager():
    norm = group_norm_layer(2, 4, torch.float32)
    x = noise(1, 4, 2, 2).contiguous(memory_format=LAST)
    inputs = (x, norm, "silu", None, None)
    assert GROUP_NORM.choose(inputs).name == "eager"  # without a trial only where any may serve
    with use_backend("any"):
        assert GROUP_NORM.choose(inputs).name == "triton"
        with weights_looked_at(lambda layer: "are cast on the fly"):
            assert GROUP_NORM.choose(inputs).name == "eager"
            assert "cast on the fly" in explain(GROUP_NORM, *inputs)["triton"][0]
    assert group_norm_call(x, norm, "silu").shape == x.shape
