"""Attention of several heads by PyTorch: the one place where heads are split and joined."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D)) v for each row and head: q (N, L, heads*D), k and v (N, M, heads*D) -> (N, L, heads*D)."""
    q, k, v = (rearrange(t, "n l (h d) -> n h l d", h=heads) for t in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "n h l d -> n l (h d)")
