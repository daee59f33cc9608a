"""Group norm, scale and shift, activation in one go, and before them a bias that a convolution has left out.

Reference: `nn.GroupNorm`, then numerics 3.4 for the resnets (statistics a frame at a time) and 3.5, 3.6 for what sees
a clip at once (statistics over all its frames; the clip comes as a view (B, C, F, H, W) of its frames).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .registry import EAGER, TRITON, Backend, Function
from .requirements import OnTriton, channels_last, last_contiguous, one_of, pitch, resident
from .triton_guard import cdiv, constexpr, jit, operator, power_of_two, tl

ACTIVATIONS = ("none", "silu", "gelu")
TILE = 4096  # elements a program holds at once
LINE, VECTORS = 32, 16  # a program takes at least so many channels, and a multiple of so many: whole lines of memory
FEW_PROGRAMS = 256  # fewer than this leave a GPU idle
CHUNK, CHUNK_OF_FEW = 65536, 8192  # elements of some groups that one program takes, when programs are many and when few
MOST_CHUNKS = 512  # of one group


def group_norm(x: Tensor, norm: nn.Module, act: str = "none", affine: Tensor | None = None,
               added: Tensor | None = None) -> Tensor:
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
    return y if act == "none" else getattr(F, act)(y)


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
def _joined(means, squares, at, P, chunk, CG: constexpr, K: constexpr, BG: constexpr, BK: constexpr):
    """Mean and sum of squares of each group from those of all its chunks, in the same order in every program."""
    g, k, parts = tl.arange(0, BG), tl.arange(0, BK), tl.num_programs(1)
    there = (g < K)[:, None] & (k < parts)[None, :]
    places = ((at * K + g) * parts)[:, None] + k[None, :]
    size = tl.where(k < parts, tl.minimum(P - k * chunk, chunk), 0).to(tl.float32)[None, :]
    each = tl.load(means + places, mask=there, other=0.0)
    mean = tl.sum(each * size, axis=1) / P
    apart = each - mean[:, None]
    return mean, tl.sum(tl.load(squares + places, mask=there, other=0.0) + apart * apart * size * CG, axis=1)


@jit
def _normalise(x, out, w, b, affine, added, means, squares, eps, P, blocks, C, chunk, sn, sp, on, op, an, hn, CG: constexpr,
               K: constexpr, BC: constexpr, BG: constexpr, BP: constexpr, BK: constexpr,
               AFFINE: constexpr, ADD: constexpr, ACT: constexpr):
    """A program for a chunk of some groups, from the moments to the activation; with one chunk a group it makes these, too."""
    at, start = tl.program_id(0), tl.program_id(1) * chunk
    c, own, member = _channels(at % blocks, CG, K, BC, BG)
    row, stop, lane = at // blocks, tl.minimum(start + chunk, P), tl.arange(0, BP)
    x, out, added, affine = x + row * sn, out + row * on, added + row * hn, affine + row * an
    if BK == 1:  # what was read for the moments is still in the caches
        mean, around = _moments(x, added, start, stop, sp, c, own, member, CG, BC, BP, ADD)
    else:
        mean, around = _joined(means, squares, at, P, chunk, CG, K, BG, BK)
    scale = _of_channels(1.0 / tl.sqrt(around / tl.cast(P * CG, tl.float32) + eps), member)
    scale *= tl.load(w + c, mask=own, other=0.0).to(tl.float32)
    shift, center = tl.load(b + c, mask=own, other=0.0).to(tl.float32), _of_channels(mean, member)
    if ADD:
        plus = tl.load(added + c, mask=own, other=0.0).to(tl.float32)
    if AFFINE:
        more = 1.0 + tl.load(affine + c, mask=own, other=0.0).to(tl.float32)
        scale, shift = scale * more, shift * more + tl.load(affine + C + c, mask=own, other=0.0).to(tl.float32)
    for p in range(start, stop, BP):
        mask = (p + lane < stop)[:, None] & own[None, :]
        y = tl.load(x + (p + lane)[:, None] * sp + c[None, :], mask=mask, other=0.0).to(tl.float32)
        if ADD:  # not taken off the mean instead, which would round: groups of one value are to come out as zero
            y += plus[None, :]
        y = (y - center[None, :]) * scale[None, :] + shift[None, :]
        if ACT == "silu":
            y = y * tl.sigmoid(y)
        elif ACT == "gelu":
            y = 0.5 * y * (1.0 + tl.erf(y * 0.7071067811865476))
        tl.store(out + (p + lane)[:, None] * op + c[None, :], y.to(out.dtype.element_ty), mask=mask)


@dataclass(frozen=True)
class Plan:
    """How x (N, C, ...) is shared out: programs of `together` groups each, whose positions are in `parts` chunks."""

    own: int  # channels of a group
    together: int
    blocks: int  # programs that a sample's groups take
    positions: int
    chunk: int

    @property
    def parts(self) -> int:
        """Where there is one, x is read from memory once, otherwise twice."""
        return cdiv(self.positions, self.chunk)


def plan(x: Tensor, groups: int) -> Plan:
    """As many groups a program as make whole lines of memory, all where they do not come out even; then chunks."""
    own, positions = x.shape[1] // groups, x[0, 0].numel()
    together = next((some for some in (1, 2, 4, 8, 16)
                     if some * own >= LINE and some * own % VECTORS == 0 and groups % some == 0), groups)
    many = len(x) * groups // together >= FEW_PROGRAMS
    elements = max(CHUNK if many else CHUNK_OF_FEW, cdiv(positions * together * own, MOST_CHUNKS))
    return Plan(own, together, groups // together, positions, min(max(elements // (together * own), 1), positions))


def launch(x: Tensor, groups: int, eps: float, weight: Tensor, bias: Tensor, act: str, affine: Tensor | None,
           added: Tensor | None) -> Tensor:
    """The kernels; the result lies in memory as x does."""
    out, how = torch.empty_like(x), plan(x, groups)
    tile = {"CG": how.own, "K": how.together, "BC": power_of_two(how.together * how.own), "BG": power_of_two(how.together)}
    tile["BP"] = min(max(TILE // tile["BC"], 1), power_of_two(how.positions))
    an, hn = (0 if value is None or value.ndim == 1 else value.stride(0) for value in (affine, added))
    inputs = (x if affine is None else affine, x if added is None else added)  # x: never read
    places = (x.stride(0), pitch(x), out.stride(0), pitch(out), an, hn)
    grid = (len(x) * how.blocks, how.parts)
    means = squares = x
    with torch.cuda.device_of(x):
        if how.parts > 1:
            means, squares = torch.empty((2, len(x) * groups, how.parts), dtype=torch.float32, device=x.device)
            _chunk_moments[grid](x, inputs[1], means, squares, how.positions, how.blocks, how.chunk, *places[:2], hn, **tile,
                                 ADD=added is not None)
        _normalise[grid](x, out, weight, bias, *inputs, means, squares, eps, how.positions, how.blocks, x.shape[1], how.chunk,
                         *places, **tile, BK=power_of_two(how.parts), AFFINE=affine is not None, ADD=added is not None, ACT=act)
    return out


NORM = operator("group_norm", "(Tensor x, int groups, float eps, Tensor weight, Tensor bias, str act, Tensor? affine, "
                "Tensor? added) -> Tensor", launch, lambda x, *others: torch.empty_like(x))

GROUP_NORM = Function("group_norm", ("x", "norm", "act", "affine", "added"), (
    Backend(TRITON, lambda x, norm, *others: NORM(x, norm.num_groups, norm.eps, norm.weight, norm.bias, *others), (
        OnTriton(), one_of("act", ACTIVATIONS), resident("norm"), channels_last("x"), last_contiguous("affine", "added"))),
    Backend(EAGER, eager),
))
