"""Group norm, scale and shift, activation in one go.

Reference: `nn.GroupNorm`, then numerics 3.4 for the resnets (statistics a frame at a time) and 3.5, 3.6 for what sees
a clip at once (statistics over all its frames; the clip comes as a view (B, C, F, H, W) of its frames).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .registry import EAGER, TRITON, Backend, Function
from .requirements import FLOATS, Affine, Countable, Dimensions, Dtypes, NoGradient, OneOf, Resident, RowsOfPixels, TritonDevice
from .triton_guard import cdiv, constexpr, jit, power_of_two, tl

ACTIVATIONS = ("none", "silu", "gelu")
TILE = 4096  # elements a program holds at once
FEW_PROGRAMS = 256  # fewer groups than this leave a GPU idle
CHUNK, CHUNK_OF_FEW = 32768, 8192  # elements of a group that one program takes, when groups are many and when few
MOST_CHUNKS = 1024  # of one group


def group_norm(x: Tensor, norm: nn.Module, act: str = "none", scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """act(norm(x) * (1 + scale) + shift) for x (N, C, H, W), or (B, C, F, H, W) with statistics over all frames.

    act: none, silu, or gelu (the exact one); scale and shift, both or neither: (N, C).
    """
    return GROUP_NORM(x, norm, act, scale, shift)


def eager(x: Tensor, norm: nn.Module, act: str, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """The reference."""
    y = norm(x)
    if scale is not None and shift is not None:
        ones = (1,) * (x.ndim - 2)
        y = torch.addcmul(shift.reshape(*shift.shape, *ones), y, 1 + scale.reshape(*scale.shape, *ones))
    return activated(y, act)


def activated(y: Tensor, act: str) -> Tensor:
    """none, silu, or gelu (the exact one) of y."""
    if act == "none":
        return y
    return F.gelu(y) if act == "gelu" else F.silu(y)


@jit
def _tile(row, group, start, stop, S, sn, sc, sf, ss, CG: constexpr, BC: constexpr, BP: constexpr):
    """Channels, offsets and mask of one tile of a group, [BC, BP]; positions count through frames, then pixels."""
    c = tl.arange(0, BC)
    p = start + tl.arange(0, BP)
    offsets = row * sn + (group * CG + c)[:, None] * sc + ((p // S) * sf + (p % S) * ss)[None, :]
    return group * CG + c, offsets, (c < CG)[:, None] & (p < stop)[None, :]


@jit
def _moments(x, row, group, start, stop, S, sn, sc, sf, ss, CG: constexpr, BC: constexpr, BP: constexpr):
    """Mean, and sum of squares around it, of a group's positions start..stop: the difference of two large sums never occurs."""
    total = tl.zeros([BC, BP], dtype=tl.float32)
    for p in range(start, stop, BP):
        _, offsets, mask = _tile(row, group, p, stop, S, sn, sc, sf, ss, CG, BC, BP)
        total += tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(tl.sum(total, axis=1), axis=0) / tl.cast((stop - start) * CG, tl.float32)
    squares = tl.zeros([BC, BP], dtype=tl.float32)
    for p in range(start, stop, BP):
        _, offsets, mask = _tile(row, group, p, stop, S, sn, sc, sf, ss, CG, BC, BP)
        around = tl.where(mask, tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32) - mean, 0.0)
        squares += around * around
    return mean, tl.sum(tl.sum(squares, axis=1), axis=0)


@jit
def _write(x, out, w, b, scale, shift, mean, rstd, row, group, start, stop, S, sn, sc, sf, ss, on, oc, of, os,
           an, ac, hn, hc, CG: constexpr, BC: constexpr, BP: constexpr, AFTER: constexpr, ACT: constexpr):
    """Normalise a group's positions start..stop and carry on to the activation."""
    for p in range(start, stop, BP):
        c, offsets, mask = _tile(row, group, p, stop, S, sn, sc, sf, ss, CG, BC, BP)
        own = c < (group + 1) * CG
        y = (tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32) - mean) * rstd
        y = y * tl.load(w + c, mask=own, other=0.0).to(tl.float32)[:, None]
        y = y + tl.load(b + c, mask=own, other=0.0).to(tl.float32)[:, None]
        if AFTER:
            y = y * (1.0 + tl.load(scale + row * an + c * ac, mask=own, other=0.0).to(tl.float32)[:, None])
            y = y + tl.load(shift + row * hn + c * hc, mask=own, other=0.0).to(tl.float32)[:, None]
        if ACT == "silu":
            y = y * tl.sigmoid(y)
        elif ACT == "gelu":
            y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
        _, places, mask = _tile(row, group, p, stop, S, on, oc, of, os, CG, BC, BP)
        tl.store(out + places, y.to(out.dtype.element_ty), mask=mask)


@jit
def _whole(x, out, w, b, scale, shift, eps, G, P, S, sn, sc, sf, ss, on, oc, of, os, an, ac, hn, hc,
           CG: constexpr, BC: constexpr, BP: constexpr, AFTER: constexpr, ACT: constexpr):
    """A program a group, which fits into the caches: read for the mean, for the variance, and for the result."""
    row, group = tl.program_id(0) // G, tl.program_id(0) % G
    mean, squares = _moments(x, row, group, 0, P, S, sn, sc, sf, ss, CG, BC, BP)
    rstd = 1.0 / tl.sqrt(squares / tl.cast(P * CG, tl.float32) + eps)
    _write(x, out, w, b, scale, shift, mean, rstd, row, group, 0, P, S, sn, sc, sf, ss, on, oc, of, os,
           an, ac, hn, hc, CG, BC, BP, AFTER, ACT)


@jit
def _chunk_moments(x, means, squares, G, P, S, chunk, sn, sc, sf, ss, CG: constexpr, BC: constexpr, BP: constexpr):
    """A program a chunk of a group."""
    at, part = tl.program_id(0), tl.program_id(1)
    start = part * chunk
    mean, around = _moments(x, at // G, at % G, start, tl.minimum(start + chunk, P), S, sn, sc, sf, ss, CG, BC, BP)
    place = at * tl.num_programs(1) + part
    tl.store(means + place, mean)
    tl.store(squares + place, around)


@jit
def _chunk_write(x, out, w, b, scale, shift, means, squares, eps, G, P, S, chunk, sn, sc, sf, ss, on, oc, of, os,
                 an, ac, hn, hc, CG: constexpr, BC: constexpr, BP: constexpr, BK: constexpr,
                 AFTER: constexpr, ACT: constexpr):
    """Every program joins the moments of all chunks of its group, in the same order, then writes its own chunk."""
    at, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    k = tl.arange(0, BK)
    size = tl.where(k < parts, tl.minimum(P - k * chunk, chunk), 0).to(tl.float32) / P
    each = tl.load(means + at * parts + k, mask=k < parts, other=0.0)
    mean = tl.sum(each * size, axis=0)
    within = tl.sum(tl.load(squares + at * parts + k, mask=k < parts, other=0.0), axis=0) / tl.cast(P * CG, tl.float32)
    between = tl.sum((each - mean) * (each - mean) * size, axis=0)
    rstd = 1.0 / tl.sqrt(within + between + eps)
    start = part * chunk
    _write(x, out, w, b, scale, shift, mean, rstd, at // G, at % G, start, tl.minimum(start + chunk, P), S,
           sn, sc, sf, ss, on, oc, of, os, an, ac, hn, hc, CG, BC, BP, AFTER, ACT)


def strides(x: Tensor) -> tuple[int, int, int, int]:
    """Strides of sample, channel, frame, pixel; an image (N, C, H, W) is a clip of one frame."""
    return x.stride(0), x.stride(1), x.stride(2) if x.ndim == 5 else 0, x.stride(-1)


def chunks(groups: int, positions: int, channels: int) -> tuple[int, int]:
    """Positions a chunk, and chunks a group, for so many groups of so many channels each."""
    size = max(CHUNK if groups >= FEW_PROGRAMS else CHUNK_OF_FEW, cdiv(positions * channels, MOST_CHUNKS))
    chunk = max(size // channels, 1)
    return chunk, cdiv(positions, chunk)


def triton_group_norm(x: Tensor, norm: Any, act: str, scale: Tensor | None, shift: Tensor | None) -> Tensor:
    """The kernel. The result lies in memory as x does."""
    out = torch.empty_like(x)
    channels, groups = x.shape[1], norm.num_groups
    pixels = x.shape[-2] * x.shape[-1]
    positions = pixels * (x.shape[2] if x.ndim == 5 else 1)
    own = channels // groups
    tile_c = power_of_two(own)
    tile_p = min(max(TILE // tile_c, 16), power_of_two(positions))
    after = scale is not None and shift is not None
    tail = (scale, shift) if scale is not None and shift is not None else (x, x)  # never read without `after`
    places = (*strides(x), *strides(out), *(s for t in tail for s in t.stride()[:2]))
    tile = {"CG": own, "BC": tile_c, "BP": tile_p}
    rows = len(x) * groups
    chunk, parts = chunks(rows, positions, own)
    with torch.cuda.device_of(x):
        if parts == 1:
            _whole[(rows,)](x, out, norm.weight, norm.bias, *tail, norm.eps, groups, positions, pixels, *places,
                            **tile, AFTER=after, ACT=act)
            return out
        means, squares = torch.empty((2, rows, parts), dtype=torch.float32, device=x.device)
        _chunk_moments[(rows, parts)](x, means, squares, groups, positions, pixels, chunk, *strides(x), **tile)
        _chunk_write[(rows, parts)](x, out, norm.weight, norm.bias, *tail, means, squares, norm.eps, groups, positions,
                                    pixels, chunk, *places, **tile, BK=power_of_two(parts), AFTER=after, ACT=act)
    return out


GROUP_NORM = Function("group_norm", ("x", "norm", "act", "scale", "shift"), (
    Backend(TRITON, triton_group_norm, (
        TritonDevice(), NoGradient(), Dimensions(("x",), (4, 5)), Dimensions(("scale", "shift"), (2,)),
        Dtypes(("x", "scale", "shift"), FLOATS), OneOf("act", ACTIVATIONS), Affine("norm"), Resident("norm"),
        RowsOfPixels(("x",)), Countable()), measured=False),
    Backend(EAGER, eager),
))
