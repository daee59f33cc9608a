"""Group norm, scale and shift, activation in one go, and before them a bias that a convolution has left out.

Reference: `nn.GroupNorm`, then numerics 3.4 for the resnets (statistics a frame at a time) and 3.5, 3.6 for what sees
a clip at once (statistics over all its frames; the clip comes as a view (B, C, F, H, W) of its frames).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .operators import operator
from .registry import EAGER, TRITON, Backend, Function
from .requirements import FLOATS, ChannelsLast, Countable, Dtypes, LastContiguous, NoGradient, OneOf, Resident, TritonDevice, pitch
from .triton_guard import cdiv, constexpr, jit, power_of_two, tl

ACTIVATIONS = ("none", "silu", "gelu")
TILE = 4096  # elements a program holds at once
CHANNELS = 32, 16  # a program takes at least so many channels, and a multiple of so many: whole lines of memory
FEW_PROGRAMS = 256  # fewer than this leave a GPU idle
CHUNK, CHUNK_OF_FEW = 65536, 8192  # elements of some groups that one program takes, when programs are many and when few
MOST_CHUNKS = 512  # of one group


def group_norm(x: Tensor, norm: nn.Module, act: str = "none", affine: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """act(norm(x + added) * (1 + scale) + shift) for x (N, C, H, W), or (B, C, F, H, W) with statistics over all frames.

    act: none, silu, or gelu (the exact one); affine (N, 2C): scale, then shift; added: (C,) or (N, C).
    """
    return GROUP_NORM(x, norm, act, affine, added)


def eager(x: Tensor, norm: nn.Module, act: str, affine: Tensor | None, added: Tensor | None) -> Tensor:
    """The reference."""
    ones = (1,) * (x.ndim - 2)
    y = norm(x if added is None else x + added.reshape(-1, x.shape[1], *ones))
    if affine is not None:
        scale, shift = affine.reshape(*affine.shape, *ones).chunk(2, dim=1)
        y = torch.addcmul(shift, y, 1 + scale)
    return activated(y, act)


def activated(y: Tensor, act: str) -> Tensor:
    """none, silu, or gelu (the exact one) of y."""
    if act == "none":
        return y
    return F.gelu(y) if act == "gelu" else F.silu(y)


@jit
def _channels(block, CG: constexpr, K: constexpr, BC: constexpr, BG: constexpr):
    """A program's channels [BC], which of them are its own, and which belong to each of its K groups [BG, BC]."""
    c = tl.arange(0, BC)
    own = c < K * CG
    return block * (K * CG) + c, own, ((c // CG)[None, :] == tl.arange(0, BG)[:, None]) & own[None, :]


@jit
def _of_groups(values, member):
    """The sum over the channels of each group."""
    return tl.sum(tl.where(member, values[None, :], 0.0), axis=1)


@jit
def _of_channels(values, member):
    """What each channel's group has."""
    return tl.sum(tl.where(member, values[:, None], 0.0), axis=0)


@jit
def _moments(x, added, start, stop, sp, c, own, member, CG: constexpr, BC: constexpr, BP: constexpr, ADD: constexpr):
    """Mean of each group over positions start..stop, and the sum of squares around it.

    Each element of the tile keeps the running mean of its own: the difference of two large sums never occurs.
    """
    lane = tl.arange(0, BP)
    mean = tl.zeros([BP, BC], dtype=tl.float32)
    around = tl.zeros([BP, BC], dtype=tl.float32)
    for at in range(start, stop, BP):
        mask = (at + lane < stop)[:, None] & own[None, :]
        value = tl.load(x + (at + lane)[:, None] * sp + c[None, :], mask=mask, other=0.0).to(tl.float32)
        delta = tl.where(mask, value - mean, 0.0)
        mean += delta / tl.cast((at - start) // BP + 1, tl.float32)
        around += delta * (value - mean)
    count = tl.cast((stop - start - lane + BP - 1) // BP, tl.float32)[:, None]
    if ADD:
        mean += tl.load(added + c, mask=own, other=0.0).to(tl.float32)[None, :]
    center = _of_groups(tl.sum(mean * count, axis=0), member) / tl.cast((stop - start) * CG, tl.float32)
    apart = mean - _of_channels(center, member)[None, :]
    return center, _of_groups(tl.sum(around + apart * apart * count, axis=0), member)


@jit
def _write(x, out, w, b, affine, added, mean, rstd, start, stop, sp, op, C, c, own, member,
           BP: constexpr, AFFINE: constexpr, ADD: constexpr, ACT: constexpr):
    """Normalise positions start..stop and carry on to the activation."""
    scale = _of_channels(rstd, member) * tl.load(w + c, mask=own, other=0.0).to(tl.float32)
    shift = tl.load(b + c, mask=own, other=0.0).to(tl.float32)
    center = _of_channels(mean, member)
    if ADD:
        center -= tl.load(added + c, mask=own, other=0.0).to(tl.float32)
    if AFFINE:
        more = 1.0 + tl.load(affine + c, mask=own, other=0.0).to(tl.float32)
        scale, shift = scale * more, shift * more + tl.load(affine + C + c, mask=own, other=0.0).to(tl.float32)
    lane = tl.arange(0, BP)
    for at in range(start, stop, BP):
        mask = (at + lane < stop)[:, None] & own[None, :]
        y = tl.load(x + (at + lane)[:, None] * sp + c[None, :], mask=mask, other=0.0).to(tl.float32)
        y = (y - center[None, :]) * scale[None, :] + shift[None, :]
        if ACT == "silu":
            y = y * tl.sigmoid(y)
        elif ACT == "gelu":
            y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
        tl.store(out + (at + lane)[:, None] * op + c[None, :], y.to(out.dtype.element_ty), mask=mask)


@jit
def _whole(x, out, w, b, affine, added, eps, P, blocks, C, sn, sp, on, op, an, hn, CG: constexpr, K: constexpr,
           BC: constexpr, BG: constexpr, BP: constexpr, AFFINE: constexpr, ADD: constexpr, ACT: constexpr):
    """A program for some groups that fit into the caches: read for the moments, and again for the result."""
    row, block = tl.program_id(0) // blocks, tl.program_id(0) % blocks
    c, own, member = _channels(block, CG, K, BC, BG)
    mean, squares = _moments(x + row * sn, added + row * hn, 0, P, sp, c, own, member, CG, BC, BP, ADD)
    rstd = 1.0 / tl.sqrt(squares / tl.cast(P * CG, tl.float32) + eps)
    _write(x + row * sn, out + row * on, w, b, affine + row * an, added + row * hn, mean, rstd, 0, P, sp, op, C,
           c, own, member, BP, AFFINE, ADD, ACT)


@jit
def _chunk_moments(x, added, means, squares, P, blocks, chunk, sn, sp, hn, CG: constexpr, K: constexpr,
                   BC: constexpr, BG: constexpr, BP: constexpr, ADD: constexpr):
    """A program for a chunk of some groups."""
    at, part = tl.program_id(0), tl.program_id(1)
    c, own, member = _channels(at % blocks, CG, K, BC, BG)
    row, g = at // blocks, tl.arange(0, BG)
    start, stop = part * chunk, tl.minimum(part * chunk + chunk, P)
    mean, around = _moments(x + row * sn, added + row * hn, start, stop, sp, c, own, member, CG, BC, BP, ADD)
    places = (at * K + g) * tl.num_programs(1) + part
    tl.store(means + places, mean, mask=g < K)
    tl.store(squares + places, around, mask=g < K)


@jit
def _chunk_write(x, out, w, b, affine, added, means, squares, eps, P, blocks, C, chunk, sn, sp, on, op, an, hn, CG: constexpr,
                 K: constexpr, BC: constexpr, BG: constexpr, BP: constexpr, BK: constexpr,
                 AFFINE: constexpr, ADD: constexpr, ACT: constexpr):
    """Every program joins the moments of all chunks of its groups, in the same order, then writes its own chunk."""
    at, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    c, own, member = _channels(at % blocks, CG, K, BC, BG)
    row, g, k = at // blocks, tl.arange(0, BG), tl.arange(0, BK)
    there = (g < K)[:, None] & (k < parts)[None, :]
    places = ((at * K + g) * parts)[:, None] + k[None, :]
    size = tl.where(k < parts, tl.minimum(P - k * chunk, chunk), 0).to(tl.float32)[None, :] / P
    each = tl.load(means + places, mask=there, other=0.0)
    mean = tl.sum(each * size, axis=1)
    within = tl.sum(tl.load(squares + places, mask=there, other=0.0), axis=1) / tl.cast(P * CG, tl.float32)
    between = tl.sum((each - mean[:, None]) * (each - mean[:, None]) * size, axis=1)
    rstd = 1.0 / tl.sqrt(within + between + eps)
    _write(x + row * sn, out + row * on, w, b, affine + row * an, added + row * hn, mean, rstd, part * chunk,
           tl.minimum(part * chunk + chunk, P), sp, op, C, c, own, member, BP, AFFINE, ADD, ACT)


def groups_together(own: int, groups: int) -> int:
    """How many groups of `own` channels a program takes, so that it reads whole lines; all where they do not come out even."""
    least, multiple = CHANNELS
    for together in (1, 2, 4, 8, 16):
        if together * own >= least and together * own % multiple == 0 and groups % together == 0:
            return together
    return groups


def chunks(programs: int, positions: int, channels: int) -> tuple[int, int]:
    """Positions a chunk, and chunks a group, where so many programs take so many channels of all positions each."""
    size = max(CHUNK if programs >= FEW_PROGRAMS else CHUNK_OF_FEW, cdiv(positions * channels, MOST_CHUNKS))
    chunk = max(size // channels, 1)
    return chunk, cdiv(positions, chunk)


def passes(x: Tensor, groups: int) -> int:
    """How often x is read from memory: once where what a program takes fits into the caches, otherwise twice."""
    own = x.shape[1] // groups
    together = groups_together(own, groups)
    return min(chunks(len(x) * groups // together, x[0, 0].numel(), together * own)[1], 2)


def launch(x: Tensor, groups: int, eps: float, weight: Tensor, bias: Tensor, act: str, affine: Tensor | None,
           added: Tensor | None) -> Tensor:
    """The kernels; the result lies in memory as x does."""
    out, channels, positions = torch.empty_like(x), x.shape[1], x[0, 0].numel()
    own = channels // groups
    together = groups_together(own, groups)
    width, blocks = together * own, groups // together
    programs = len(x) * blocks
    tile = {"CG": own, "K": together, "BC": power_of_two(width), "BG": power_of_two(together)}
    tile["BP"] = min(max(TILE // tile["BC"], 1), power_of_two(positions))
    inputs = (weight, bias, x if affine is None else affine, x if added is None else added)  # x: never read
    an, hn = (0 if value is None or value.ndim == 1 else value.stride(0) for value in (affine, added))
    places = (x.stride(0), pitch(x), out.stride(0), pitch(out), an, hn)
    after = {"AFFINE": affine is not None, "ADD": added is not None, "ACT": act}
    chunk, parts = chunks(programs, positions, width)
    with torch.cuda.device_of(x):
        if parts == 1:
            _whole[(programs,)](x, out, *inputs, eps, positions, blocks, channels, *places, **tile, **after)
            return out
        means, squares = torch.empty((2, len(x) * groups, parts), dtype=torch.float32, device=x.device)
        _chunk_moments[(programs, parts)](x, inputs[3], means, squares, positions, blocks, chunk, *places[:2], hn, **tile,
                                          ADD=after["ADD"])
        _chunk_write[(programs, parts)](x, out, *inputs, means, squares, eps, positions, blocks, channels, chunk, *places, **tile,
                                        BK=power_of_two(parts), **after)
    return out


NORM = operator("group_norm", "(Tensor x, int groups, float eps, Tensor weight, Tensor bias, str act, Tensor? affine, "
                "Tensor? added) -> Tensor", launch, lambda x, *others: torch.empty_like(x))


def triton_group_norm(x: Tensor, norm: Any, act: str, affine: Tensor | None, added: Tensor | None) -> Tensor:
    """The kernels, for a layer."""
    return NORM(x, norm.num_groups, norm.eps, norm.weight, norm.bias, act, affine, added)


GROUP_NORM = Function("group_norm", ("x", "norm", "act", "affine", "added"), (
    Backend(TRITON, triton_group_norm, (
        TritonDevice(), NoGradient(), Dtypes(("x", "affine", "added"), FLOATS), OneOf("act", ACTIVATIONS), Resident("norm"),
        ChannelsLast(("x",)), LastContiguous(("affine", "added")), Countable())),
    Backend(EAGER, eager),
))
