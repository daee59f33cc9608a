"""Attention of several heads by PyTorch: the one place where heads are split and joined."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for each row and head: q (N, L, heads*D), k and v (N, M, heads*D) -> (N, L, heads*D)."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))  # (N, heads, L, D)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
