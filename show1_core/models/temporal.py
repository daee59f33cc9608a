"""What lets frames see each other: temporal convolutions and temporal transformers.

Features travel as (B*F, C, H, W), frame-major inside each sample. With channels last in memory the
5-D view (B, C, F, H, W) of the same bytes is free, so nothing is copied on the way in or out.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from ..kernels import conv_residual, convolution, late_bias, temporal_attention
from .attention import Attention, FeedForward, feed_forward
from .clip_norm import norm_then
from .conditioning import PreparedText


def unfold_frames(x: Tensor, frames: int) -> Tensor:
    """(B*F, C, H, W) -> (B, C, F, H, W), always a view."""
    return rearrange(x, "(b f) c h w -> b c f h w", f=frames)


def fold_frames(x: Tensor) -> Tensor:
    """(B, C, F, H, W) -> (B*F, C, H, W), a view where frames are outermost in memory."""
    return rearrange(x, "b c f h w -> (b f) c h w")


class TemporalConv(nn.Module):
    """Four times norm, SiLU, 3x1x1 convolution, added to the input (numerics 3.5): (B*F, C, H, W) -> the same.

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
        clip = h = unfold_frames(x, frames)
        bias = None  # of the convolution before, where the norm is to add it
        for norm, _, *dropout, conv in (self.conv1, self.conv2, self.conv3):
            late = late_bias(h, conv)
            h = norm_then(lambda part, conv=conv, late=late, drop=dropout: convolution(dropped(part, drop), conv, late), h, norm,
                          act="silu", added=bias)
            bias = late
        norm, _, *dropout, conv = self.conv4
        return fold_frames(norm_then(lambda part, rest: conv_residual(dropped(part, dropout), conv, rest), h, norm, clip,
                                     act="silu", added=bias))


def dropped(x: Tensor, dropout: list[nn.Module]) -> Tensor:
    """x after the dropouts of a layer, of which there is one or none; they act in training mode alone (numerics T3)."""
    for layer in dropout:
        x = layer(x)
    return x


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
        return x + feed_forward(self.ff, self.norm3(x))


class TemporalTransformer(nn.Module):
    """A transformer over the frames of each pixel, added to the input; no text, no positions (numerics 3.6).

    (B*F, C, H, W) -> the same. The norm sees all frames at once; behind it pixels do not see each other.
    """

    growth = 2  # bytes inside, of those of x

    def __init__(self, channels: int, heads: int, head_dim: int, groups: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        inner = heads * head_dim
        self.norm = ops.GroupNorm(groups, channels, eps=1e-6, **where)
        self.proj_in = ops.Linear(channels, inner, **where)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(inner, heads, ops, **where)])
        self.proj_out = ops.Linear(inner, channels, **where)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        clip = unfold_frames(x, frames)
        return fold_frames(norm_then(lambda h, rest: rest + self.layers(h), clip, self.norm, clip, growth=self.growth))

    def layers(self, h: Tensor) -> Tensor:
        """The transformer on normalised pixels, (B, C, F, H, W) -> the same."""
        tokens = self.proj_in(rearrange(h, "b c f h w -> b f (h w) c"))
        for block in self.transformer_blocks:
            tokens = block(tokens)
        return rearrange(self.proj_out(tokens), "b f (h w) c -> b c f h w", h=h.shape[-2])
