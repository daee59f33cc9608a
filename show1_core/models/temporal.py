"""What lets frames see each other: temporal convolutions and temporal transformers.

Features travel as (B*F, C, H, W), frame-major inside each sample. With channels last in memory the
5-D view (B, C, F, H, W) of the same bytes is free, so nothing is copied on the way in or out.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels import group_norm, temporal_attention, temporal_conv
from .attention import Attention, FeedForward
from .conditioning import PreparedText
from .pieces import at_once, by_pixels, clip_norm, divisible


def unfold_frames(x: Tensor, frames: int) -> Tensor:
    """(B*F, C, H, W) -> (B, C, F, H, W), always a view."""
    return x.unflatten(0, (-1, frames)).transpose(1, 2)


def fold_frames(x: Tensor) -> Tensor:
    """(B, C, F, H, W) -> (B*F, C, H, W), a view where channels are last in memory."""
    return x.transpose(1, 2).flatten(0, 1)


class TemporalConv(nn.Module):
    """Four times norm, SiLU, 3x1x1 convolution, added to the input (numerics 3.5).

    The norms take their statistics over all frames of a clip at once (numerics T6). The official layers
    carry a dropout, inactive at inference, whose place in the sequence shifts the weights' names.
    """

    def __init__(self, channels: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()

        def stage(dropout: bool) -> nn.Sequential:
            return nn.Sequential(
                ops.GroupNorm(32, channels, **where),
                nn.SiLU(),
                *([nn.Dropout(0.1)] if dropout else []),
                ops.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), **where),
            )

        self.conv1, self.conv2, self.conv3, self.conv4 = stage(False), stage(True), stage(True), stage(True)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        h = clip = unfold_frames(x, frames)
        stages = (self.conv1, self.conv2, self.conv3, self.conv4)
        if self.training:  # the dropouts take part
            for stage in stages:
                h = stage(h)
            return x + fold_frames(h)
        step = at_once(x, pixels := x.shape[-2] * x.shape[-1])
        if step < pixels and divisible(x, self.conv1[0]):
            return self.in_pieces(x, frames, step)
        for stage in stages:
            h = temporal_conv(group_norm(h, stage[0], "silu"), stage[-1], clip if stage is self.conv4 else None)
        return fold_frames(h)

    def in_pieces(self, x: Tensor, frames: int, step: int) -> Tensor:
        """The same, `step` pixels at a time: only the norms' statistics look at the whole clip."""
        h = clip = unfold_frames(x, frames).flatten(3)  # (B, C, F, S)
        for stage in (self.conv1, self.conv2, self.conv3, self.conv4):
            scale, shift = clip_norm(h, cast(nn.GroupNorm, stage[0]))

            def layer(part: Tensor, *residual: Tensor, conv: nn.Module = stage[-1], scale: Tensor = scale,
                      shift: Tensor = shift) -> Tensor:
                part = F.silu(torch.addcmul(shift, part, scale))
                return temporal_conv(part[..., None], conv, *(r[..., None] for r in residual))[..., 0]

            h = by_pixels(layer, h, *([clip] if stage is self.conv4 else []), step=step)
        return fold_frames(h.unflatten(3, x.shape[-2:]))


class TemporalAttention(Attention):
    """Every pixel attends over its own frames: tokens (B, F, S, C) -> the same."""

    def forward(self, x: Tensor, text: PreparedText | None = None) -> Tensor:
        return self.to_out[0](temporal_attention(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))


class TemporalBlock(nn.Module):
    """Two self-attentions over time and a feed-forward, each after its norm (numerics 3.6)."""

    def __init__(self, dim: int, heads: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.norm1 = ops.LayerNorm(dim, **where)
        self.attn1 = TemporalAttention(dim, dim, heads, ops, **where)
        self.norm2 = ops.LayerNorm(dim, **where)
        self.attn2 = TemporalAttention(dim, dim, heads, ops, **where)
        self.norm3 = ops.LayerNorm(dim, **where)
        self.ff = FeedForward(dim, ops, **where)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x))
        return x + self.ff(self.norm3(x))


class TemporalTransformer(nn.Module):
    """A transformer over the frames of each pixel, added to the input; no text, no positions (numerics 3.6)."""

    def __init__(self, channels: int, heads: int, head_dim: int, groups: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        inner = heads * head_dim
        self.norm = ops.GroupNorm(groups, channels, eps=1e-6, **where)
        self.proj_in = ops.Linear(channels, inner, **where)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(inner, heads, ops, **where)])
        self.proj_out = ops.Linear(inner, channels, **where)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        step = at_once(x, pixels := x.shape[-2] * x.shape[-1], growth=2)
        clip = unfold_frames(x, frames)  # (B, C, F, H, W)
        if step < pixels and divisible(x, self.norm):
            flat = clip.flatten(3)
            scale, shift = clip_norm(flat, self.norm)
            h = by_pixels(lambda part: part + self.layers(torch.addcmul(shift, part, scale)), flat, step=step)
            return fold_frames(h).reshape(x.shape)
        h = self.layers(group_norm(clip, self.norm).flatten(3))
        return x + fold_frames(h).reshape(x.shape)  # x first: the sum lies in memory as it does

    def layers(self, x: Tensor) -> Tensor:
        """The transformer on some pixels, (B, C, F, S) -> the same."""
        h = self.proj_in(x.permute(0, 2, 3, 1))  # (B, F, S, C)
        for block in self.transformer_blocks:
            h = block(h)
        return self.proj_out(h).permute(0, 3, 1, 2)
