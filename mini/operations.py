"""Layers for training on a CPU: the same weights and results as `torch.nn`, computed the way a CPU likes best.

Handed to a UNet as its `operations`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, autocast, nn

from show1_core.cpu import cpu_has_bf16

Conv2d = nn.Conv2d
Linear = nn.Linear
LayerNorm = nn.LayerNorm


class GroupNorm(nn.GroupNorm):
    """Group normalisation in float32 also under autocast: its bfloat16 backward pass is several times slower."""

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps)


class Conv3d(nn.Conv3d):
    """The (3, 1, 1) convolution of the temporal layers as a 2-D one, over frames and all pixels in a row.

    (B, C, F, H, W) -> (B, C', F, H, W), zero frames beyond both ends. CPUs have a fast 2-D convolution for channels
    that are last in memory, and none for clips.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size != (3, 1, 1) or self.padding != (1, 0, 0):
            raise ValueError(f"only 3x1x1 convolutions padded by one frame are computed here, not {self.kernel_size}")
        rows = F.conv2d(x.flatten(3), self.weight[..., 0], self.bias, padding=(1, 0))  # (B, C', F, H*W)
        return rows.unflatten(3, x.shape[3:])


def cheap_products(device: torch.device) -> autocast:
    """Where a network learns: products in bfloat16, unless on a CPU that has no such instructions, where they are slower."""
    return autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or cpu_has_bf16())
