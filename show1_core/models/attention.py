"""Attention inside a frame: over its pixels and the prompt."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels import group_norm, text_attention
from .conditioning import Conditioning, PreparedText, widen
from .pieces import by_rows


def tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H*W, C), a view where channels are last in memory."""
    return x.flatten(2).transpose(1, 2)


def pixels(x: Tensor, like: Tensor) -> Tensor:
    """(N, H*W, C) -> (N, C, H, W) with the height and width of `like`."""
    return x.transpose(1, 2).unflatten(2, like.shape[-2:])


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, L, C) -> (N, heads, L, C / heads)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(N, heads, L, D) -> (N, L, heads * D)"""
    return x.transpose(1, 2).flatten(2)


class AddedTextAttention(nn.Module):
    """Pixels attend to the text and to each other in one softmax, text first (numerics 3.8).

    x (B*F, C, H, W) -> (B*F, C, H, W), the input added. Text keys and values are made once a text and handed to all
    frames of all its samples.
    """

    def __init__(self, channels: int, text_dim: int, heads: int, groups: int, text_norm: bool,
                 ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.heads = heads
        self.group_norm = ops.GroupNorm(groups, channels, eps=1e-5, **where)
        self.norm_cross = ops.GroupNorm(32, text_dim, eps=1e-5, **where) if text_norm else None
        self.to_q = ops.Linear(channels, channels, **where)
        self.to_k = ops.Linear(channels, channels, **where)
        self.to_v = ops.Linear(channels, channels, **where)
        self.add_k_proj = ops.Linear(text_dim, channels, **where)
        self.add_v_proj = ops.Linear(text_dim, channels, **where)
        self.to_out = nn.ModuleList([ops.Linear(channels, channels, **where)])

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:
        x = widen(x, conditioning.rows)
        h = tokens(group_norm(x, self.group_norm))  # (B*F, H*W, C)
        text_k, text_v = conditioning.text.cached(self, self.text_keys_values)
        out = text_attention(self.to_q(h), self.to_k(h), self.to_v(h), text_k, text_v, self.heads)
        return x + pixels(self.to_out[0](out), x)

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the prompt, (U, L, C) each; the norm runs over groups of channels and all tokens."""
        if self.norm_cross is not None:
            text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)  # normalised as (U, D, L)
        return self.add_k_proj(text), self.add_v_proj(text)


class Attention(nn.Module):
    """Multi-head attention of tokens x (N, S, C) to themselves, or to a prompt: (N, S, C)."""

    def __init__(self, dim: int, context_dim: int, heads: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = ops.Linear(dim, dim, bias=False, **where)
        self.to_k = ops.Linear(context_dim, dim, bias=False, **where)
        self.to_v = ops.Linear(context_dim, dim, bias=False, **where)
        self.to_out = nn.ModuleList([ops.Linear(dim, dim, **where)])

    def forward(self, x: Tensor, text: PreparedText | None = None) -> Tensor:
        k, v = self.keys_values(x) if text is None else text.cached(self, self.keys_values)
        # all frames under one text are one row of queries, so that the text's keys and values lie there once
        q = split_heads(self.to_q(x).unflatten(0, (len(k), -1)).flatten(1, 2), self.heads)
        out = F.scaled_dot_product_attention(q, k, v)  # (U, heads, N/U*S, D)
        return self.to_out[0](merge_heads(out).reshape(x.shape))

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """(U, L, D) -> keys and values (U, heads, L, C / heads)"""
        return split_heads(self.to_k(source), self.heads), split_heads(self.to_v(source), self.heads)


class FeedForward(nn.Module):
    """Gated linear unit with exact GELU, four times as wide inside (numerics 3.6): (..., C) -> (..., C)."""

    def __init__(self, dim: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        # net.1 is the official dropout's place; without weights, but it numbers its neighbour
        self.net = nn.ModuleList([GatedLinear(dim, 4 * dim, ops, **where), nn.Identity(), ops.Linear(4 * dim, dim, **where)])

    def forward(self, x: Tensor) -> Tensor:
        rows = by_rows(lambda part: self.net[2](self.net[0](part)), x.flatten(0, -2), growth=8)
        return rows.reshape(x.shape)


class GatedLinear(nn.Module):
    """value * gelu(gate), both from one projection: (..., C) -> (..., inner)."""

    def __init__(self, dim: int, inner: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.proj = ops.Linear(dim, 2 * inner, **where)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class SpatialBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward, each after its norm (numerics 3.9)."""

    def __init__(self, dim: int, text_dim: int, heads: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.norm1 = ops.LayerNorm(dim, **where)
        self.attn1 = Attention(dim, dim, heads, ops, **where)
        self.norm2 = ops.LayerNorm(dim, **where)
        self.attn2 = Attention(dim, text_dim, heads, ops, **where)
        self.norm3 = ops.LayerNorm(dim, **where)
        self.ff = FeedForward(dim, ops, **where)

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:
        x = widen(x + self.attn1(self.norm1(x)), conditioning.rows)
        x = x + self.attn2(self.norm2(x), conditioning.text)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer over the pixels of each frame, added to the input (numerics 3.9).

    x (B*F, C, H, W) -> (B*F, C, H, W). The projections around it are linear layers or, with the same numbers in
    another shape, 1x1 convolutions, as the checkpoint's config says.
    """

    def __init__(self, channels: int, text_dim: int, heads: int, groups: int, linear: bool,
                 ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.linear = linear
        self.norm = ops.GroupNorm(groups, channels, eps=1e-6, **where)
        self.proj_in = ops.Linear(channels, channels, **where) if linear else ops.Conv2d(channels, channels, 1, **where)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, text_dim, heads, ops, **where)])
        self.proj_out = ops.Linear(channels, channels, **where) if linear else ops.Conv2d(channels, channels, 1, **where)

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:
        h = group_norm(x, self.norm)
        h = self.proj_in(tokens(h)) if self.linear else tokens(self.proj_in(h))  # (B*F, H*W, C)
        for block in self.transformer_blocks:
            h = block(h, conditioning)
        x = widen(x, len(h))
        h = pixels(self.proj_out(h), x) if self.linear else self.proj_out(pixels(h, x))
        return x + h
