"""What a UNet's weights are before training: a network that passes its noisy input on as its guess of the noise.

In nearly pure noise that guess is almost right, and what the network has to find is the small difference. A random
start spends its first thousand steps on learning to copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from show1_core.models.temporal import TemporalConv, TemporalTransformer
from show1_core.models.unet import UNet


@torch.no_grad()
def quiet_time(unet: UNet) -> None:
    """Temporal layers add nothing at first (the official initialisation of their last layers)."""
    for module in unet.modules():
        if isinstance(module, TemporalConv):
            for parameter in module.conv4[-1].parameters():
                parameter.zero_()
        elif isinstance(module, TemporalTransformer):
            for parameter in module.proj_out.parameters():
                parameter.zero_()


@torch.no_grad()
def pass_noise_on(unet: UNet, channels: int, anchor: float = 4.0, condition: int | None = None) -> None:
    """Lay a straight path from the clip's `channels` to the noise guess, through the outermost skip connection.

    Where a condition that is nearly the picture begins at input channel `condition`, it is taken away on the way; with a small
    `anchor` the norm then brings what is left, which is mostly noise, to the size of noise.

    gelu(y) - gelu(-y) = y, and so for SiLU: a feature and its negative carry a value exactly through the last
    activation. The norm before it divides by the deviation of a group, which for noise fluctuates by some percent
    from frame to frame: far more than the picture's share in nearly pure noise, where the prompt has to be heard.
    So each group of four also gets a constant and its negative, which pin its deviation down.
    """
    up: Any = unet.up_blocks[-1]
    last, norm = up.resnets[-1], unet.conv_norm_out
    if norm.num_channels != 4 * norm.num_groups:
        raise ValueError(f"the last norm has groups of {norm.num_channels // norm.num_groups}; this start needs groups of 4")
    skip = last.conv_shortcut.in_channels - unet.conv_in.out_channels  # where the skip's channels begin
    deviation = ((1 + anchor**2) / 2) ** 0.5
    unet.conv_out.weight[:channels].zero_()
    unet.conv_out.bias.zero_()
    for channel in range(channels):
        for half, sign in enumerate((1.0, -1.0)):
            carrier, pin, feature = 4 * channel + half, 4 * channel + 2 + half, 2 * channel + half
            unet.conv_in.weight[feature].zero_()
            unet.conv_in.weight[feature, channel, 1, 1] = sign
            if condition is not None:
                unet.conv_in.weight[feature, condition + channel, 1, 1] = -sign
            unet.conv_in.bias[feature] = 0.0
            for row in (carrier, pin):
                last.conv_shortcut.weight[row].zero_()
                last.conv_shortcut.bias[row] = 0.0
                last.conv2.weight[row].zero_()
                last.conv2.bias[row] = 0.0
            last.conv_shortcut.weight[carrier, skip + feature] = 1.0
            last.conv_shortcut.bias[pin] = sign * anchor
            unet.conv_out.weight[channel, carrier, 1, 1] = sign * deviation


@torch.no_grad()
def inherit(unet: UNet, weights: Mapping[str, Tensor]) -> list[str]:
    """Start from another stage's weights; returns the names that it did not have.

    The interpolation starts from the keyframe weights, the video super-resolution from the image model's spatial ones
    (paper sections 3.2, 3.3). A first convolution with more input channels takes the old ones and ignores the new at first.
    """
    missing = []
    for name, parameter in unet.named_parameters():
        given = weights.get(name)
        if given is None:
            missing.append(name)
        elif given.shape == parameter.shape:
            parameter.copy_(given)
        elif name == "conv_in.weight" and given.shape[1] < parameter.shape[1]:
            parameter.zero_()
            parameter[:, : given.shape[1]] = given
        else:
            raise ValueError(f"{name} has shape {tuple(given.shape)} where {tuple(parameter.shape)} is expected")
    return missing
