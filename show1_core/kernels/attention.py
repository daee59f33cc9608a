"""Attention of several heads, and self-attention over the frames of each pixel: very many, very short sequences.

Reference: numerics 3.6 (heads: T4). Flash attention works on tiles of 64 or 128 tokens of one sequence, of which 5 to 29
frames fill little; here a tile holds as many whole pixels as fit, and what one pixel would see of another is masked.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .registry import EAGER, TRITON, Backend, Function
from .requirements import HALF, OnTriton, at_most, last_contiguous
from .triton_guard import cdiv, constexpr, jit, operator, power_of_two, tl

MOST_FRAMES, MOST_HEAD = 32, 128
MOST_SEQUENCES = 65535  # that CUDA's grids, and so PyTorch's attention kernels, take at once
TILE_ROWS = 64  # of pixels * frames
LINE = 64  # channels a program takes, in whole heads: their bytes lie side by side
LOG2_E = 1.4426950408889634


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for each row and head: q (N, L, heads*D), k and v (N, M, heads*D) -> (N, L, heads*D)."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))  # (N, heads, L, D)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def temporal_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k / sqrt(D)) v over the frames of each pixel and head; all (B, F, S, heads * D)."""
    return TEMPORAL_ATTENTION(q, k, v, heads)


def eager(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The reference. CPUs' attention reads frames from where they lie: only its result is put in order."""
    if q.device.type != "cpu":
        return at_once(q, k, v, heads)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (B, S, F, heads * D), views
    return torch.stack([attention(*sample, heads).transpose(0, 1) for sample in zip(q, k, v)])


def at_once(q: Tensor, k: Tensor, v: Tensor, heads: int, most: int = MOST_SEQUENCES) -> Tensor:
    """All samples in one order, `most` pixels at a time."""
    batch, _, pixels, _ = q.shape
    q, k, v = (t.transpose(1, 2).flatten(0, 1) for t in (q, k, v))  # (B*S, F, heads * D)
    out = torch.cat([attention(*some, heads) for some in zip(q.split(most), k.split(most), v.split(most))])
    return out.unflatten(0, (batch, pixels)).transpose(1, 2)


@jit
def _attend(q, k, v, out, S, heads, tiles, scale, qb, qf, qs, kb, kf, ks, vb, vf, vs, ob, of, os,
            F: constexpr, D: constexpr, BR: constexpr, BD: constexpr, HEADS: constexpr):
    """One tile of pixels, some heads. Rows of the tile count through the pixels, and the frames of each."""
    sample, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    r, d = tl.arange(0, BR), tl.arange(0, BD)
    pixel, frame = r // F, r % F
    s = tile * (BR // F) + pixel
    there = ((pixel < BR // F) & (s < S))[:, None]
    together = pixel[:, None] == pixel[None, :]  # true on the diagonal, so no softmax is empty
    for i in range(HEADS):
        head = tl.program_id(1) * HEADS + i
        c = (head * D + d)[None, :]
        mask = there & (d < D)[None, :] & (c < heads * D)
        queries = tl.load(q + (sample * qb + frame * qf + s * qs)[:, None] + c, mask=mask, other=0.0)
        keys = tl.load(k + (sample * kb + frame * kf + s * ks)[:, None] + c, mask=mask, other=0.0)
        values = tl.load(v + (sample * vb + frame * vf + s * vs)[:, None] + c, mask=mask, other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(together, scores, -float("inf"))
        weights = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
        total = tl.sum(weights, axis=1)
        mixed = tl.dot(weights.to(values.dtype), values, input_precision="ieee") / total[:, None]
        tl.store(out + (sample * ob + frame * of + s * os)[:, None] + c, mixed.to(out.dtype.element_ty), mask=mask)


def launch(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The kernel."""
    batch, frames, pixels, channels = q.shape
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    size = channels // heads
    tiles = cdiv(pixels, TILE_ROWS // frames)
    together = min(max(LINE // size, 1), heads)
    with torch.cuda.device_of(q):
        _attend[(batch * tiles, cdiv(heads, together))](
            q, k, v, out, pixels, heads, tiles, LOG2_E * size**-0.5, *(s for t in (q, k, v, out) for s in t.stride()[:3]),
            F=frames, D=size, BR=TILE_ROWS, BD=max(power_of_two(size), 16), HEADS=together)
    return out


ATTEND = operator("temporal_attention", "(Tensor q, Tensor k, Tensor v, int heads) -> Tensor", launch,
                  lambda q, *others: q.new_empty(q.shape))

TEMPORAL_ATTENTION = Function("temporal_attention", ("q", "k", "v", "heads"), (
    Backend(TRITON, ATTEND, (OnTriton(dtypes=HALF), last_contiguous("q", "k", "v"),
                             at_most(MOST_FRAMES, "frames", lambda inputs: inputs["q"].shape[1]),
                             at_most(MOST_HEAD, "channels a head", lambda inputs: inputs["q"].shape[3] // inputs["heads"]))),
    Backend(EAGER, eager),
))
