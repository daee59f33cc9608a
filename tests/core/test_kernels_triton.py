"""The Triton kernels against float64 eager: on a GPU where there is one, else in Triton's interpreter.

The interpreter has to be asked for before Triton is imported, so `test_kernels.py` runs this file in a process of its
own. What is run is read off the kernels' own constraints: every dtype, activation and limit they declare.
"""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import Conv3d, GroupNorm

from show1_core.kernels import (
    GROUP_NORM,
    TEMPORAL_ATTENTION,
    TEMPORAL_CONV,
    NoBackend,
    explain,
    use_backend,
)
from show1_core.kernels import group_norm as group_norm_call
from show1_core.kernels.requirements import Dtypes, OneOf, Size, weights_looked_at
from show1_core.kernels.triton_guard import INTERPRETED, triton
from show1_core.models.blocks import ResnetBlock
from show1_core.models.temporal import TemporalConv, TemporalTransformer

if triton is None:
    pytest.skip("needs a GPU with Triton, or the process that test_kernels.py starts", allow_module_level=True)

DEVICE = "cpu" if INTERPRETED else "cuda"
TOLERANCE = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2}  # of the norm
HEADS = ((5, 4, 10), (8, 3, 12), (3, 2, 15), (8, 2, 20), (29, 2, 64), (1, 1, 16))  # frames, heads, channels a head


def requirement(function, kind, name=None):
    """The constraint of that kind, and on that input, that the Triton backend declares."""
    return next(requirement for requirement in function.backends[0].requirements
                if isinstance(requirement, kind) and name in (None, getattr(requirement, "name", None)))


def dtypes(function):
    """The dtypes a kernel takes. The interpreter multiplies matrices of bfloat16 by their bits, so float32 is in its place."""
    allowed = requirement(function, Dtypes).allowed
    multiplies = torch.float32 not in allowed
    return (torch.float16, torch.float32) if multiplies and INTERPRETED else allowed


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE, dtype)


def layouts(batch, channels, frames, height, width, dtype):
    """The same clip, (B, C, F, H, W), as it may lie in memory."""
    clip = noise(batch * frames, channels, height, width, dtype=dtype)

    def view(x):
        return x.unflatten(0, (batch, frames)).transpose(1, 2)

    wide = torch.cat([torch.full_like(clip, torch.nan), clip], dim=1)
    found = {
        "frames": view(clip),
        "part, channels last": view(wide.contiguous(memory_format=torch.channels_last))[:, channels:],
        "channels last": view(clip.contiguous(memory_format=torch.channels_last)),
        "clip": view(clip).contiguous(),
        "part": view(wide)[:, channels:],
    }
    few = INTERPRETED and dtype is torch.bfloat16  # strides are strides; the interpreter is slow
    return dict(list(found.items())[:2]) if few else found


@pytest.fixture(autouse=True)
def poisoned():
    """Fresh memory is full of NaN, so that an element no one writes shows."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(3, device=DEVICE).isnan().all() and torch.empty_like(torch.ones(3, device=DEVICE)).isnan().all()
    yield
    torch.use_deterministic_algorithms(False)


def exact(value):
    """Inputs of the reference: float64."""
    if isinstance(value, nn.Module):
        kind = type(value)
        made = kind(value.num_groups, value.num_channels, eps=value.eps) if kind is GroupNorm else kind(
            value.in_channels, value.out_channels, value.kernel_size, padding=value.padding, bias=value.bias is not None)
        made = made.to(DEVICE, torch.float64)
        made.load_state_dict(value.state_dict())
        return made
    return value.double() if isinstance(value, torch.Tensor) else value


def check(function, *inputs):
    """The kernel takes these inputs (float32 aside, see `dtypes`), leaves them alone, and comes close to the reference."""
    kernel, reference = function.backends[0], function.backends[-1]
    dtype = inputs[0].dtype
    if dtype in requirement(function, Dtypes).allowed:
        assert explain(function, *inputs)[0].serves, explain(function, *inputs)[0]
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


@pytest.mark.parametrize("dtype", dtypes(GROUP_NORM), ids=str)
@pytest.mark.parametrize("act", requirement(GROUP_NORM, OneOf, "act").values)
@pytest.mark.parametrize("scaled", [False, True])
def test_group_norm(dtype, act, scaled):
    norm = group_norm_layer(2, 10, dtype)
    for clip in layouts(2, 10, 3, 4, 5, dtype).values():
        scale, shift = noise(2, 20, dtype=dtype, seed=3).chunk(2, dim=1) if scaled else (None, None)
        out = check(GROUP_NORM, clip, norm, act, scale, shift)
        assert out.stride() == torch.empty_like(clip).stride()
    for clip in layouts(2, 10, 1, 4, 5, dtype).values():
        check(GROUP_NORM, clip[:, :, 0], norm, act, scale, shift)  # images


@pytest.mark.parametrize("shape, groups", [
    ((2, 4, 1, 1), 4), ((3, 32, 1, 7), 32), ((1, 6, 3, 41, 67), 1), ((1, 2, 2, 70, 66), 2)], ids=str)
def test_group_norm_in_chunks_and_corners(shape, groups):
    """One value a group (whose norm is zero), one row, a group of several chunks with an odd end."""
    check(GROUP_NORM, noise(*shape), group_norm_layer(groups, shape[1], torch.float32), "silu", None, None)


def test_group_norm_far_from_zero_keeps_its_variance():
    """The mean of the squares less the square of the mean would be all rounding."""
    x = noise(1, 4, 64, 64) + 3000.0
    out = GROUP_NORM.backends[0].run(x, group_norm_layer(1, 4, torch.float32), "none", None, None)
    expected = GROUP_NORM.backends[-1].run(x.double(), exact(group_norm_layer(1, 4, torch.float32)), "none", None, None)
    assert ((out - expected).norm() / expected.norm()).item() < 2e-4  # half a bit of 3000


@pytest.mark.parametrize("dtype", dtypes(TEMPORAL_CONV), ids=str)
@pytest.mark.parametrize("channels, outputs, frames", [(6, 6, 3), (20, 33, 1), (40, 20, 5)])
def test_temporal_conv(dtype, channels, outputs, frames):
    for bias, added in itertools.product((True, False), (True, False)):
        conv = Conv3d(channels, outputs, (3, 1, 1), padding=(1, 0, 0), bias=bias).to(DEVICE, dtype)
        for clip in layouts(2, channels, frames, 3, 5, dtype).values():
            residual = noise(2, outputs, frames, 3, 5, dtype=dtype, seed=4) if added else None
            out = check(TEMPORAL_CONV, clip, conv, residual)
            assert out.transpose(1, 2).flatten(0, 1).data_ptr() == out.data_ptr()  # folds without a copy


def test_temporal_conv_of_many_tiles():
    dtype = dtypes(TEMPORAL_CONV)[0]
    conv = Conv3d(8, 140, (3, 1, 1), padding=(1, 0, 0)).to(DEVICE, dtype)
    check(TEMPORAL_CONV, layouts(1, 8, 3, 19, 23, dtype)["frames"], conv, None)


@pytest.mark.parametrize("dtype", dtypes(TEMPORAL_ATTENTION), ids=str)
@pytest.mark.parametrize("frames, heads, size", [
    *HEADS, (requirement(TEMPORAL_ATTENTION, Size, "q").most, 1, 8),
    (2, 1, next(r.most for r in TEMPORAL_ATTENTION.backends[0].requirements if isinstance(r, Size) and r.divided_by))])
def test_temporal_attention(dtype, frames, heads, size):
    pixels = 64 // frames + 2  # one tile and a little
    together = noise(2, frames, pixels, 3 * heads * size, dtype=dtype)  # as one projection would make them
    check(TEMPORAL_ATTENTION, *together.chunk(3, dim=-1), heads)
    apart = [noise(2, pixels, frames, heads * size, dtype=dtype, seed=seed).transpose(1, 2) * 3 for seed in range(3)]
    check(TEMPORAL_ATTENTION, *apart, heads)


@pytest.mark.parametrize("name, memory_format", [
    ("resnet", torch.channels_last), ("temporal conv", torch.contiguous_format),
    ("temporal transformer", torch.contiguous_format)])
def test_the_layers_of_the_unet_on_kernels_alone(name, memory_format):
    """`use_backend("triton")` raises where a kernel steps aside, so these layers run on nothing else."""
    torch.manual_seed(0)
    x = noise(3, 32, 4, 4)
    config = SimpleNamespace(activation="gelu", skip_time_act=False, time_scale_shift=True, norm_groups=8, norm_eps=1e-5,
                             time_embedding_dim=16)
    layer, inputs = {
        "resnet": (lambda: ResnetBlock((32, 64), config, 1.0, nn), (x, noise(3, 16))),
        "temporal conv": (lambda: TemporalConv(32, nn), (x, 3)),
        "temporal transformer": (lambda: TemporalTransformer(32, 2, 16, 8, nn), (x, 3)),
    }[name]
    module = layer().eval().to(DEVICE)
    with use_backend("eager"):
        expected = module(*inputs)

    def half(value):
        return value.half() if isinstance(value, torch.Tensor) else value

    with use_backend("triton"):
        out = module.half()(half(x).contiguous(memory_format=memory_format), *map(half, inputs[1:]))
    assert ((out - expected).norm() / expected.norm()).item() < 2e-3


def test_a_layer_that_is_cast_on_the_fly_runs_eager():
    norm = group_norm_layer(2, 4, torch.float32)
    x = noise(1, 4, 2, 2)
    inputs = (x, norm, "silu", None, None)
    with use_backend("triton"):
        assert GROUP_NORM.choose(inputs).name == "triton"
    assert GROUP_NORM.choose(inputs).name == "eager"  # by name alone, until it has been measured
    with (use_backend("triton"), weights_looked_at(lambda layer: "are cast on the fly"),
          pytest.raises(NoBackend, match="cast on the fly")):
        GROUP_NORM.choose(inputs)
    assert group_norm_call(x, norm, "silu").shape == x.shape
