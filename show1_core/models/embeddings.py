"""Vectors that steer the whole UNet: timestep, noise level, pooled text."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..kernels import attention
from ..kernels.group_norm import activated


def sinusoid(numbers: Tensor, dim: int) -> Tensor:
    """Cosines then sines of `numbers` (B,) at `dim / 2` frequencies from 1 to 1e-4: (B, dim) in float32 (numerics 3.2.1).

    An angle of some hundred radians carries the rounding of its frequency a thousandfold, so the order of the
    float32 operations is part of the result: multiply, divide, exponentiate.
    """
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32, device=numbers.device) * -math.log(10000.0) / half)
    angles = numbers.float()[:, None] * frequencies  # (B, dim/2)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepEmbedding(nn.Module):
    """Two linear layers over a sinusoid: (B, C) -> (B, T). Serves timesteps and noise levels."""

    def __init__(self, in_dim: int, dim: int, act: str, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.act = act
        self.linear_1 = ops.Linear(in_dim, dim, **where)
        self.linear_2 = ops.Linear(dim, dim, **where)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(activated(self.linear_1(x), self.act))


class AttentionPooling(nn.Module):
    """One query, the mean of all tokens, attends to itself and to every token: (B, L, D) -> (B, D) (numerics 3.7).

    Padding takes part in the mean and in the attention, as in the official model (numerics T9).
    """

    def __init__(self, dim: int, heads: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(1, dim, **where))
        self.k_proj = ops.Linear(dim, dim, **where)
        self.q_proj = ops.Linear(dim, dim, **where)
        self.v_proj = ops.Linear(dim, dim, **where)

    def forward(self, tokens: Tensor) -> Tensor:
        position = self.positional_embedding.to(tokens)
        query = tokens.mean(dim=1, keepdim=True) + position  # (B, 1, D)
        everything = torch.cat([query, tokens], dim=1)  # (B, 1 + L, D)
        q, k, v = self.q_proj(query), self.k_proj(everything), self.v_proj(everything)
        return attention(q, k, v, self.heads).squeeze(1)


class PooledTextEmbedding(nn.Module):
    """Text states (B, L, D) as one vector beside the timestep's: (B, T) (numerics 3.7)."""

    def __init__(self, text_dim: int, dim: int, heads: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.norm1 = ops.LayerNorm(text_dim, **where)
        self.pool = AttentionPooling(text_dim, heads, ops, **where)
        self.proj = ops.Linear(text_dim, dim, **where)
        self.norm2 = ops.LayerNorm(dim, **where)

    def forward(self, text: Tensor) -> Tensor:
        return self.norm2(self.proj(self.pool(self.norm1(text))))
