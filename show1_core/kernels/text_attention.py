"""Pixels of a frame attend to the prompt and to each other in one softmax, the prompt first.

Reference: numerics 3.8. The prompt's keys and values are one row a sample; the kernel reads them where they lie, so they
are neither copied for every frame nor joined to the pixels' own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .registry import EAGER, TRITON, Backend, Function
from .requirements import HALF, Countable, Dimensions, Dtypes, LastContiguous, NoGradient, Size, TritonDevice
from .triton_guard import cdiv, constexpr, jit, power_of_two, tl

MOST_HEAD = 128
TILE_QUERIES, TILE_KEYS = 64, 64
LOG2_E = 1.4426950408889634


def text_attention(q: Tensor, k: Tensor, v: Tensor, text_k: Tensor, text_v: Tensor, heads: int) -> Tensor:
    """softmax(q [text_k, k] / sqrt(D)) [text_v, v] for each frame and head.

    q, k, v (B*F, S, heads * D), text_k, text_v (B, L, heads * D) -> (B*F, S, heads * D).
    """
    return TEXT_ATTENTION(q, k, v, text_k, text_v, heads)


def eager(q: Tensor, k: Tensor, v: Tensor, text_k: Tensor, text_v: Tensor, heads: int) -> Tensor:
    """The reference."""
    def join(text: Tensor, pixels: Tensor) -> Tensor:  # (B*F, L + S, heads * D)
        frames = len(pixels) // len(text)
        return torch.cat([text if frames == 1 else text.repeat_interleave(frames, dim=0), pixels], dim=1)

    def split(t: Tensor) -> Tensor:  # (N, L, heads * D) -> (N, heads, L, D)
        return t.unflatten(-1, (heads, -1)).transpose(1, 2)

    out = F.scaled_dot_product_attention(split(q), split(join(text_k, k)), split(join(text_v, v)))
    return out.transpose(1, 2).flatten(2)


@jit
def _look(queries, k, v, length, kl, vl, c, own, scale, mixed, total, highest, BK: constexpr):
    """Take `length` keys and values into a running softmax, BK at a time."""
    for start in range(0, length, BK):
        at = start + tl.arange(0, BK)
        mask = (at < length)[:, None] & own[None, :]
        keys = tl.load(k + at[:, None] * kl + c[None, :], mask=mask, other=0.0)
        values = tl.load(v + at[:, None] * vl + c[None, :], mask=mask, other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where((at < length)[None, :], scores, -float("inf"))
        peak = tl.maximum(highest, tl.max(scores, axis=1))
        weights = tl.exp2(scores - peak[:, None])
        fade = tl.exp2(highest - peak)
        total = total * fade + tl.sum(weights, axis=1)
        mixed = mixed * fade[:, None] + tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        highest = peak
    return mixed, total, highest


@jit
def _attend(q, k, v, text_k, text_v, out, S, L, frames, scale, qn, ql, kn, kl, vn, vl, tkn, tkl, tvn, tvl, on, ol,
            D: constexpr, BQ: constexpr, BK: constexpr, BD: constexpr):
    """One tile of queries of one frame and head: past the prompt, then past the pixels."""
    row, head = tl.program_id(1), tl.program_id(2)
    s, d = tl.program_id(0) * BQ + tl.arange(0, BQ), tl.arange(0, BD)
    own, c = d < D, head * D + d
    mask = (s < S)[:, None] & own[None, :]
    queries = tl.load(q + row * qn + s[:, None] * ql + c[None, :], mask=mask, other=0.0)
    mixed = tl.zeros([BQ, BD], dtype=tl.float32)
    total = tl.zeros([BQ], dtype=tl.float32)
    highest = tl.full([BQ], -float("inf"), dtype=tl.float32)
    sample = row // frames
    mixed, total, highest = _look(queries, text_k + sample * tkn, text_v + sample * tvn, L, tkl, tvl, c, own, scale,
                                  mixed, total, highest, BK)
    mixed, total, highest = _look(queries, k + row * kn, v + row * vn, S, kl, vl, c, own, scale, mixed, total, highest, BK)
    tl.store(out + row * on + s[:, None] * ol + c[None, :], (mixed / total[:, None]).to(out.dtype.element_ty), mask=mask)


def triton_text_attention(q: Tensor, k: Tensor, v: Tensor, text_k: Tensor, text_v: Tensor, heads: int) -> Tensor:
    """The kernel."""
    rows, pixels, channels = q.shape
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    size = channels // heads
    tile = min(TILE_QUERIES, max(power_of_two(pixels), 16))
    with torch.cuda.device_of(q):
        _attend[(cdiv(pixels, tile), rows, heads)](
            q, k, v, text_k, text_v, out, pixels, text_k.shape[1], rows // len(text_k), LOG2_E * size**-0.5,
            *(s for t in (q, k, v, text_k, text_v, out) for s in t.stride()[:2]),
            D=size, BQ=tile, BK=TILE_KEYS, BD=max(power_of_two(size), 16))
    return out


TEXT_ATTENTION = Function("text_attention", ("q", "k", "v", "text_k", "text_v", "heads"), (
    Backend(TRITON, triton_text_attention, (
        TritonDevice(), NoGradient(), Dimensions(("q", "k", "v", "text_k", "text_v"), (3,)),
        Dtypes(("q", "k", "v", "text_k", "text_v"), HALF),  # the vendors' libraries are better at float32
        Size("q", (0,), 65535, "frames in all"), Size("q", (2,), MOST_HEAD, "channels a head", divided_by="heads"),
        LastContiguous(("q", "k", "v", "text_k", "text_v")), Countable()), measured=False),
    Backend(EAGER, eager),
))
