"""The blocks all five UNets are made of: resnets, resampling, and the levels that string them together."""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels import conv_norm, conv_residual, convolution, group_norm
from .attention import AddedTextAttention, SpatialTransformer
from .chunks import by_rows
from .conditioning import Conditioning, for_rows
from .config import Level, UNetConfig
from .temporal import TemporalConv, TemporalTransformer


class ResnetBlock(nn.Module):
    """Norm, convolution, time, norm, convolution, added to the input (numerics 3.4).

    x (N, C, H, W), time (N, T), already activated, and skip (N, C", H, W), whose channels go behind those of x
    -> (N, C', H', W'). Rows do not see each other.
    """

    growth, doubled = 2, False  # bytes inside, of those of x; whether pixels are repeated before the first convolution

    def __init__(self, channels: tuple[int, int], config: UNetConfig, out_scale: float, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        inputs, outputs = channels
        self.act, self.scale_shift, self.out_scale = config.activation, config.time_scale_shift, out_scale
        self.norm1 = ops.GroupNorm(config.norm_groups, inputs, eps=config.norm_eps, **where)
        self.conv1 = ops.Conv2d(inputs, outputs, 3, padding=1, **where)
        self.time_emb_proj = ops.Linear(config.time_embedding_dim, outputs * (2 if self.scale_shift else 1), **where)
        self.norm2 = ops.GroupNorm(config.norm_groups, outputs, eps=config.norm_eps, **where)
        self.conv2 = ops.Conv2d(outputs, outputs, 3, padding=1, **where)
        self.conv_shortcut = ops.Conv2d(inputs, outputs, 1, **where) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor, skip: Tensor | None = None) -> Tensor:
        x = x if skip is None else torch.cat([x, skip], dim=1)
        affine, added = (self.time_emb_proj(time), None) if self.scale_shift else (None, self.time_emb_proj(time))
        h = self.halve(group_norm(x, self.norm1, self.act))
        h = conv_norm(h, self.conv1, self.norm2, self.act, affine, added, self.doubled)
        x = self.double(self.halve(x))
        x = x if self.conv_shortcut is None else convolution(x, self.conv_shortcut)
        return conv_residual(h, self.conv2, x, self.out_scale)

    def halve(self, x: Tensor) -> Tensor:
        return x

    def double(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2.0, mode="nearest") if self.doubled else x


class ResnetDown(ResnetBlock):
    """A resnet that halves height and width by averaging."""

    def halve(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


class ResnetUp(ResnetBlock):
    """A resnet that doubles height and width by repeating pixels."""

    growth, doubled = 4, True


class ConvDown(nn.Module):
    """Halves height and width by a strided convolution; odd sizes are rounded up."""

    def __init__(self, channels: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, stride=2, padding=1, **where)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ConvUp(nn.Module):
    """Repeats pixels up to the size of the skip connection that comes next, then a convolution."""

    def __init__(self, channels: int, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, padding=1, **where)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        if size == (2 * x.shape[-2], 2 * x.shape[-1]):
            return convolution(x, self.conv, doubled=True)
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


class Block(nn.Module):
    """The layers of one level. A layer is resnet, temporal convolution, attention, temporal transformer (numerics 3.3),
    as far as the level has them."""

    def __init__(self, level: Level, config: UNetConfig, out_scale: float, ops: ModuleType, **where: Any) -> None:
        super().__init__()
        layers = len(level.resnet_inputs)
        attentions = layers if level.attention != "none" else 0
        self.resnets = nn.ModuleList(
            ResnetBlock((inputs, level.channels), config, out_scale, ops, **where) for inputs in level.resnet_inputs)
        self.temp_convs = nn.ModuleList(
            TemporalConv(level.channels, ops, **where) for _ in range(layers if config.temporal else 0))
        self.attentions = nn.ModuleList(attention(level, config, ops, **where) for _ in range(attentions))
        self.temp_attentions = nn.ModuleList(
            TemporalTransformer(level.channels, level.temporal_heads, level.channels // level.temporal_heads,
                                config.norm_groups, ops, **where)
            for _ in range(attentions if config.temporal else 0))

    def layer(self, index: int, x: Tensor, conditioning: Conditioning, skip: Tensor | None = None) -> Tensor:
        """Run layer `index`, with a skip connection's channels behind x: (B*F, C, H, W) -> (B*F, C', H, W)."""
        if skip is not None and conditioning.patches is not None:
            x, skip = conditioning.patches.join(self.resnets[index], x, skip)
        x = resnet(cast(ResnetBlock, self.resnets[index]), x, conditioning, skip)
        if index < len(self.temp_convs):
            x = self.temp_convs[index](x, conditioning.frames)
        if index < len(self.attentions):
            x = self.attentions[index](x, conditioning)
        if index < len(self.temp_attentions):
            x = self.temp_attentions[index](x, conditioning.frames)
        return x


def resnet(block: ResnetBlock, x: Tensor, conditioning: Conditioning, skip: Tensor | None = None) -> Tensor:
    """A ResnetBlock on all rows, with what belongs to each: as many rows at once as memory is for."""
    inputs = (x, for_rows(conditioning.time, len(x)), *(() if skip is None else (for_rows(skip, len(x)),)))
    return by_rows(block, *inputs, growth=block.growth)


def attention(level: Level, config: UNetConfig, ops: ModuleType, **where: Any) -> nn.Module:
    """The attention inside a frame that this level has."""
    if level.attention == "added_kv":
        return AddedTextAttention(level.channels, config.cross_attention_dim, level.spatial_heads, config.norm_groups,
                                  config.cross_attention_norm == "group_norm", ops, **where)
    return SpatialTransformer(level.channels, config.cross_attention_dim, level.spatial_heads, config.norm_groups,
                              config.linear_projection, ops, **where)


class DownBlock(Block):
    """A level on the way down; every output is kept for the way up."""

    def __init__(self, level: Level, config: UNetConfig, ops: ModuleType, **where: Any) -> None:
        super().__init__(level, config, config.resnet_out_scale, ops, **where)
        self.downsamplers = nn.ModuleList()
        if level.sampler == "resnet":
            self.downsamplers.append(
                ResnetDown((level.channels, level.channels), config, config.resnet_out_scale, ops, **where))
        elif level.sampler == "conv":
            self.downsamplers.append(ConvDown(level.channels, ops, **where))

    def forward(self, x: Tensor, conditioning: Conditioning) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = ()
        for index in range(len(self.resnets)):
            x = self.layer(index, x, conditioning)
            outputs += (x,)
        for sampler in self.downsamplers:
            x = resnet(sampler, x, conditioning) if isinstance(sampler, ResnetDown) else by_rows(sampler, x)
            outputs += (x,)
        return outputs


class MidBlock(Block):
    """The coarsest level: layer 0, then one more resnet and temporal convolution (numerics 3.3)."""

    def __init__(self, level: Level, config: UNetConfig, ops: ModuleType, **where: Any) -> None:
        super().__init__(level, config, config.mid_out_scale, ops, **where)
        del self.attentions[1:], self.temp_attentions[1:]

    def forward(self, x: Tensor, conditioning: Conditioning) -> Tensor:
        return self.layer(1, self.layer(0, x, conditioning), conditioning)


class UpBlock(Block):
    """A level on the way up; each layer takes one skip connection."""

    def __init__(self, level: Level, config: UNetConfig, ops: ModuleType, **where: Any) -> None:
        super().__init__(level, config, config.resnet_out_scale, ops, **where)
        self.upsamplers = nn.ModuleList()
        if level.sampler == "resnet":
            self.upsamplers.append(ResnetUp((level.channels, level.channels), config, config.resnet_out_scale, ops, **where))
        elif level.sampler == "conv":
            self.upsamplers.append(ConvUp(level.channels, ops, **where))

    def forward(self, x: Tensor, skips: list[Tensor], conditioning: Conditioning, size: torch.Size) -> Tensor:
        """`skips`: one for each layer, the newest first, emptied on the way; `size`: height and width of the next level."""
        # while gradients are recorded the backward pass may run this block once more: it needs the list as it was
        skips = list(skips) if torch.is_grad_enabled() else skips
        for index in range(len(self.resnets)):
            x = self.layer(index, x, conditioning, skips.pop(0))
        for sampler in self.upsamplers:
            if isinstance(sampler, ResnetUp):
                x = resnet(sampler, x, conditioning)
            else:
                x = by_rows(lambda part, sampler=sampler: sampler(part, size), x, growth=4)
        return x
