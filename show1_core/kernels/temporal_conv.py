"""The convolution over frames, three long, as one matrix product over (position, 3 * channel).

Reference: `nn.Conv3d` of kernel (3, 1, 1) with one frame of zeros before and after the clip, numerics 3.5.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .group_norm import strides
from .registry import CPU, EAGER, TRITON, Backend, Function
from .requirements import HALF, Countable, Dimensions, Dtypes, NoGradient, OnDevice, OneOf, Resident, RowsOfPixels, TritonDevice
from .triton_guard import cdiv, constexpr, jit, power_of_two, tl

TILE_ROWS, TILE_OUT, TILE_IN = 128, 128, 32
BAND = 8  # row tiles that go through all output tiles together, so that what they share is still in the cache


def temporal_conv(x: Tensor, conv: nn.Module, residual: Tensor | None = None) -> Tensor:
    """conv(x), with `residual` added if there is one: (B, C, F, H, W) -> (B, C', F, H, W)."""
    return TEMPORAL_CONV(x, conv, residual)


def eager(x: Tensor, conv: nn.Module, residual: Tensor | None) -> Tensor:
    """The reference."""
    return conv(x) if residual is None else residual + conv(x)


@jit
def _conv(x, w, bias, residual, out, M, N, K, F, S, row_tiles, xb, xc, xf, xs, rb, rc, rf, rs, ob, oc, of, os, wn, wc, wt,
          BM: constexpr, BN: constexpr, BK: constexpr, BAND: constexpr, BIAS: constexpr, ADD: constexpr):
    """One tile of BM positions (sample, frame, pixel) by BN output channels."""
    at, tiles = tl.program_id(0), tl.cdiv(N, BN)
    band = at // (BAND * tiles)
    height = tl.minimum(row_tiles - band * BAND, BAND)
    within = at - band * BAND * tiles
    m = (band * BAND + within % height) * BM + tl.arange(0, BM)
    n = (within // height) * BN + tl.arange(0, BN)
    sample, frame, pixel = m // (F * S), m // S % F, m % S
    base = sample * xb + frame * xf + pixel * xs
    acc = tl.zeros([BM, BN], dtype=tl.float32)
    for c0 in range(0, K, BK):
        c = c0 + tl.arange(0, BK)
        for tap in tl.static_range(3):  # inside, because the three weights of a channel are neighbours in memory
            seen = (m < M) & (frame + tap >= 1) & (frame + tap <= F)
            rows = tl.load(x + (base + (tap - 1) * xf)[:, None] + c[None, :] * xc,
                           mask=seen[:, None] & (c < K)[None, :], other=0.0)
            weights = tl.load(w + c[:, None] * wc + n[None, :] * wn + tap * wt,
                              mask=(c < K)[:, None] & (n < N)[None, :], other=0.0)
            acc = tl.dot(rows, weights, acc, input_precision="ieee")
    if BIAS:
        acc += tl.load(bias + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
    mask = (m < M)[:, None] & (n < N)[None, :]
    if ADD:
        acc += tl.load(residual + (sample * rb + frame * rf + pixel * rs)[:, None] + n[None, :] * rc,
                       mask=mask, other=0.0).to(tl.float32)
    start = tl.cast(sample, tl.int64) * ob + tl.cast(frame, tl.int64) * of  # more channels may come out than went in
    places = (start + pixel * os)[:, None] + n[None, :] * oc
    tl.store(out + places, acc.to(out.dtype.element_ty), mask=mask)


def triton_temporal_conv(x: Tensor, conv: Any, residual: Tensor | None) -> Tensor:
    """The kernel. The result lies in memory as x does, channels inside or outside the pixels."""
    batch, channels, frames, height, width = x.shape
    outputs = len(conv.weight)
    out = empty_clip(x, outputs)
    rows = batch * frames * height * width
    tile_m, tile_n = min(TILE_ROWS, max(power_of_two(rows), 16)), min(TILE_OUT, max(power_of_two(outputs), 16))
    tile_k = min(TILE_IN, max(power_of_two(channels), 16))
    row_tiles = cdiv(rows, tile_m)
    added = x if residual is None else residual
    with torch.cuda.device_of(x):
        _conv[(row_tiles * cdiv(outputs, tile_n),)](
            x, conv.weight, x if conv.bias is None else conv.bias, added, out, rows, outputs, channels, frames, height * width,
            row_tiles, *strides(x), *strides(added), *strides(out), *conv.weight.stride()[:3],
            BM=tile_m, BN=tile_n, BK=tile_k, BAND=BAND, BIAS=conv.bias is not None, ADD=residual is not None, num_warps=8)
    return out


def empty_clip(x: Tensor, channels: int) -> Tensor:
    """Room for a clip of `channels`, (B, C', F, H, W): frames outermost, channels last where x has them last."""
    batch, _, frames, height, width = x.shape
    if x.stride(1) == 1 and x.shape[1] > 1:
        return x.new_empty((batch, frames, height, width, channels)).permute(0, 4, 1, 2, 3)
    return x.new_empty((batch, frames, channels, height, width)).transpose(1, 2)


def flat_temporal_conv(x: Tensor, conv: Any, residual: Tensor | None) -> Tensor:
    """The same as a 2-D convolution over frames and all pixels in a row: CPUs have a fast one, and for clips often none."""
    weight: Tensor = conv.weight[..., 0]  # (C', C, 3, 1)
    out = F.conv2d(x.flatten(3), weight, conv.bias, padding=(1, 0)).unflatten(3, x.shape[3:])
    return out if residual is None else residual + out


ONE_KIND = tuple(OneOf("conv", (value,), attribute) for attribute, value in (
    ("kernel_size", (3, 1, 1)), ("padding", (1, 0, 0)), ("stride", (1, 1, 1)), ("dilation", (1, 1, 1)),
    ("groups", 1), ("padding_mode", "zeros")))

TEMPORAL_CONV = Function("temporal_conv", ("x", "conv", "residual"), (
    Backend(TRITON, triton_temporal_conv, (
        TritonDevice(), NoGradient(), Dimensions(("x", "residual"), (5,)),
        Dtypes(("x", "residual"), HALF),  # the vendors' libraries are better at float32
        *ONE_KIND, Resident("conv"), RowsOfPixels(("x", "residual")), Countable()), measured=False),
    Backend(CPU, flat_temporal_conv, (OnDevice("cpu"), Dimensions(("x",), (5,)), *ONE_KIND, Resident("conv"))),
    Backend(EAGER, eager),
))
