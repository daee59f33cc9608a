"""Convolutions in the form that is fast, and their bias with what follows, where that costs nothing.

On GPUs PyTorch adds the bias of a convolution in a pass of its own; a norm or a sum behind it can do that on its way.
A convolution over frames, three long, is one in two dimensions over frames and all pixels in a row; one of a single pixel is
a matrix product over tokens. Reference: `nn.Conv2d` and `nn.Conv3d` of kernel (3, 1, 1), numerics 3.4 and 3.5.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .group_norm import group_norm
from .pointwise import residual_sum
from .registry import EAGER, Backend, Function
from .requirements import On, Requirement, channels_last, one_of, resident

GPU = On(("cuda", "meta"))


def convolution(x: Tensor, conv: nn.Module, late: Tensor | None = None, doubled: bool = False) -> Tensor:
    """conv(x), x (N, C, H, W), or (B, C, F, H, W) of a convolution over frames; without its bias where that comes `late`.

    doubled: of x with its height and width doubled by repeating pixels.
    """
    return CONVOLUTION(x, conv, late, doubled)


def late_bias(x: Tensor, conv: nn.Module) -> Tensor | None:
    """The bias of conv, (C',), where what follows conv(x) had better add it; None where the convolution does."""
    return LATE_BIAS(x, conv)


def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module, act: str = "none", affine: Tensor | None = None,
              added: Tensor | None = None, doubled: bool = False) -> Tensor:
    """act(norm(conv(x) + added) * (1 + scale) + shift), as `group_norm`; doubled: as `convolution`."""
    late = late_bias(x, conv)
    both = late if added is None else added if late is None else added + late
    return group_norm(convolution(x, conv, late, doubled), norm, act, affine, both)


def conv_residual(x: Tensor, conv: nn.Module, rest: Tensor, scale: float = 1.0) -> Tensor:
    """(rest + conv(x)) / scale."""
    late = late_bias(x, conv)
    return residual_sum(rest, convolution(x, conv, late), late, scale)


def eager(x: Tensor, conv: Any, late: Tensor | None, doubled: bool) -> Tensor:
    """The reference."""
    x = F.interpolate(x, scale_factor=2.0, mode="nearest") if doubled else x
    return conv(x) if late is None else conv._conv_forward(x, conv.weight, None)


def flat(x: Tensor, conv: Any, late: Tensor | None, doubled: bool) -> Tensor:
    """Over frames and all pixels in a row: CPUs have a fast convolution of that, and for clips often none."""
    bias = conv.bias if late is None else None
    return F.conv2d(x.flatten(3), conv.weight[..., 0], bias, padding=(1, 0)).unflatten(3, x.shape[3:])


def product(x: Tensor, conv: Any, late: Tensor | None, doubled: bool) -> Tensor:
    """Every pixel's channels (C) by the matrix of a 1x1 convolution; a product adds the bias for nothing."""
    out = F.linear(x.permute(0, 2, 3, 1), conv.weight.flatten(1), conv.bias if late is None else None)
    return out.permute(0, 3, 1, 2)


def transposed(x: Tensor, conv: Any, late: Tensor | None, doubled: bool) -> Tensor:
    """A doubled pixel meets several weights: by their sums, 4x4 with stride 2, it takes 4/9 of the products."""
    sums = F.avg_pool2d(conv.weight, 2, stride=1, padding=1, divisor_override=1).flip((2, 3)).transpose(0, 1)  # (C, C', 4, 4)
    return F.conv_transpose2d(x, sums, conv.bias if late is None else None, stride=2, padding=1)


def kind(doubled: bool, **attributes: Any) -> tuple[Requirement, ...]:
    """A convolution of this kind, without a stride or other specialities, whose weights lie ready."""
    length = len(attributes["kernel_size"])
    plain = {"stride": (1,) * length, "dilation": (1,) * length, "groups": 1, "padding_mode": "zeros"}
    return (one_of("doubled", (doubled,)), resident("conv"),
            *(one_of(f"conv.{name}", (value,)) for name, value in {**attributes, **plain}.items()))


CONVOLUTION = Function("convolution", ("x", "conv", "late", "doubled"), (
    Backend("flat", flat, kind(False, kernel_size=(3, 1, 1), padding=(1, 0, 0)), sure=True),
    Backend("product", product, (GPU, *kind(False, kernel_size=(1, 1), padding=(0, 0)), channels_last("x")), sure=True),
    Backend("transposed", transposed, (GPU, *kind(True, kernel_size=(3, 3), padding=(1, 1)), channels_last("x"))),
    Backend(EAGER, eager),
))
LATE_BIAS = Function("late_bias", ("x", "conv"), (
    Backend("late", lambda x, conv: conv.bias, (GPU, one_of("conv.padding_mode", ("zeros",)), resident("conv")), sure=True),
    Backend(EAGER, lambda x, conv: None),
))
