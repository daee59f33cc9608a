"""What the autoencoder is before training: a box filter down to an eighth, and nearest pixels up again.

Three latent channels begin as the colours, the fourth is free. From a random start a small autoencoder finds one
colour axis after the other, each after a long plateau; from here it has edges to learn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

COLOURS = 3
ANCHOR = 2.0  # size of the constants that pin the norms' deviation down (see `start.pass_noise_on`)
LOG_VARIANCE = -6.0
SIGNS = (1.0, -1.0)


def carriers(colour: int) -> tuple[tuple[int, float], ...]:
    """(feature, sign) of the two features that carry a colour and its negative."""
    return tuple((4 * colour + half, sign) for half, sign in enumerate(SIGNS))


def pins(colour: int) -> tuple[tuple[int, float], ...]:
    """(feature, sign) of the two constants in the same group of four."""
    return tuple((4 * colour + 2 + half, sign) for half, sign in enumerate(SIGNS))


FEATURES = 4 * COLOURS


@torch.no_grad()
def enter(conv: Any) -> None:
    """A first convolution that lays colours out as features."""
    conv.weight[:FEATURES].zero_()
    conv.bias[:FEATURES].zero_()
    for colour in range(COLOURS):
        for feature, sign in carriers(colour):
            conv.weight[feature, colour, 1, 1] = sign
        for feature, sign in pins(colour):
            conv.bias[feature] = sign * ANCHOR


@torch.no_grad()
def leave(conv: Any) -> None:
    """A last convolution, behind norm and SiLU, that reads them back: silu(y) - silu(-y) = y."""
    conv.weight[:COLOURS].zero_()
    conv.bias[:COLOURS].zero_()
    deviation = ((0.5 + ANCHOR**2) / 2) ** 0.5
    for colour in range(COLOURS):
        for feature, sign in carriers(colour):
            conv.weight[colour, feature, 1, 1] = sign * deviation


@torch.no_grad()
def keep(conv: Any, taps: Tensor) -> None:
    """A resampling convolution that leaves the features as they are, weighed by `taps` (3, 3)."""
    conv.weight[:FEATURES].zero_()
    conv.bias[:FEATURES].zero_()
    for feature in range(FEATURES):
        conv.weight[feature, feature] = taps


@torch.no_grad()
def silence(layer: Any) -> None:
    """A residual layer that adds nothing to the features."""
    layer.weight[:FEATURES].zero_()
    layer.bias[:FEATURES].zero_()


@torch.no_grad()
def pass_colours_on(vae: Any) -> None:
    """Start diffusers' AutoencoderKL, of groups of four channels, as a box filter."""
    for half in (vae.encoder, vae.decoder):
        for name, module in half.named_modules():
            if name.endswith(("conv2", "to_out.0")):
                silence(module)
        enter(half.conv_in)
        leave(half.conv_out)
    box, centre = torch.zeros(3, 3), torch.zeros(3, 3)
    box[:2, :2], centre[1, 1] = 0.25, 1.0  # the encoder pads below and to the right: these taps never see padding
    for block in vae.encoder.down_blocks[:-1]:
        keep(block.downsamplers[0].conv, box)
    for block in vae.decoder.up_blocks[:-1]:
        keep(block.upsamplers[0].conv, centre)
    latent = vae.config.latent_channels
    vae.encoder.conv_out.weight[latent:].zero_()
    vae.encoder.conv_out.bias[latent:] = LOG_VARIANCE
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(len(conv.weight))[:, :, None, None])
        conv.bias.zero_()
