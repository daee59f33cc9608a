"""Attention inside a frame: over its pixels and the prompt."""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from ..kernels import attention, convolution, gated, group_norm
from .chunks import by_rows
from .conditioning import Conditioning, Patches, PreparedText, for_rows


def tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H*W, C), a view where channels are last in memory."""
    return rearrange(x, "n c h w -> n (h w) c")


def pixels(x: Tensor, like: Tensor) -> Tensor:
    """(N, H*W, C) -> (N, C, H, W) with the height and width of `like`."""
    return rearrange(x, "n (h w) c -> n c h w", h=like.shape[-2])


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
        x = for_rows(x, conditioning.rows)
        h = tokens(group_norm(x, self.group_norm))  # (B*F, H*W, C)
        text = conditioning.text
        text_k, text_v = text.cached(self, self.text_keys_values)  # (U, L, C)
        k, v = text.before(text_k, self.to_k(h)), text.before(text_v, self.to_v(h))  # (B*F, L + H*W, C)
        return x + pixels(patched(self, conditioning.patches, self.to_q(h), k, v), x)

    def text_keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the prompt, (U, L, C) each; the norm runs over groups of channels and all tokens."""
        if self.norm_cross is not None:
            text = self.norm_cross(text.transpose(1, 2)).transpose(1, 2)  # normalised as (U, D, L)
        return self.add_k_proj(text), self.add_v_proj(text)


def patched(layer: AddedTextAttention | Attention, patches: Patches | None, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention inside a frame and the projection behind it, (N, S, C), changed by patches if there are any."""
    project, attend = layer.to_out[0], partial(attention, heads=layer.heads)
    if patches is None:
        return project(attend(q, k, v))
    return patches.after(layer, project(patches.attend(layer, attend, q, k, v)))


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
        if text is not None and text.seen is not None:
            k, v = text.spread(k, len(x)), text.spread(v, len(x))
        # all frames under one text are one row of queries, so that the text's keys and values lie there once
        q = rearrange(self.to_q(x), "(u n) s c -> u (n s) c", u=len(k))
        return self.to_out[0](attention(q, k, v, self.heads).reshape(x.shape))

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """(U, L, D) -> keys and values (U, L, C)"""
        return self.to_k(source), self.to_v(source)


class FeedForward(nn.Module):
    """Gated linear unit with exact GELU, four times as wide inside (numerics 3.6): (..., C) -> (..., C)."""

    growth = 8  # bytes inside, of those of x

    def __init__(self, dim: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        # net.1 is the official dropout's place; without weights, but it numbers its neighbour
        self.net = nn.ModuleList([GatedLinear(dim, 4 * dim, ops, **where), nn.Identity(), ops.Linear(4 * dim, dim, **where)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


def feed_forward(layer: FeedForward, x: Tensor) -> Tensor:
    """A FeedForward on all tokens (..., C): as many at once as memory is for."""
    return by_rows(layer, x.flatten(0, -2), growth=layer.growth).reshape(x.shape)


class GatedLinear(nn.Module):
    """value * gelu(gate), both from one projection: (..., C) -> (..., inner)."""

    def __init__(self, dim: int, inner: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.proj = ops.Linear(dim, 2 * inner, **where)

    def forward(self, x: Tensor) -> Tensor:
        return gated(self.proj(x))


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
        patches = conditioning.patches
        if patches is None:
            x = for_rows(x + self.attn1(self.norm1(x)), conditioning.rows)
        else:  # they may do another thing for each text
            x = for_rows(x, conditioning.rows)
            h = self.norm1(x)
            x = x + patched(self.attn1, patches, self.attn1.to_q(h), *self.attn1.keys_values(h))
        x = x + self.attn2(self.norm2(x), conditioning.text)
        return x + feed_forward(self.ff, self.norm3(x))


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
        h = self.proj_in(tokens(h)) if self.linear else tokens(convolution(h, self.proj_in))  # (B*F, H*W, C)
        for block in self.transformer_blocks:
            h = block(h, conditioning)
        x = for_rows(x, len(h))
        h = pixels(self.proj_out(h), x) if self.linear else convolution(pixels(h, x), self.proj_out)
        return x + h
