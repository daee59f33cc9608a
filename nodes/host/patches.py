"""What nodes hang on a MODEL: found for our layers, or said to do nothing (docs/host-features.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...show1_core.models.attention import AddedTextAttention, Attention, SpatialBlock, SpatialTransformer
from ...show1_core.models.blocks import Block, DownBlock, UpBlock
from ...show1_core.models.conditioning import Patches
from ...show1_core.models.unet import UNet

Place = tuple[str, int]
SELF_ATTENTION_GUIDANCE = "comfy_extras.nodes_sag"  # where its patch comes from


def patches_of(unet: UNet, shape: torch.Size, options: dict[str, Any]) -> Patches | None:
    """What these transformer options do inside a call of an input of this shape; None when it is nothing.

    Raises ValueError for self-attention guidance where it cannot work.
    """
    hooks, replaced = options.get("patches", {}), options.get("patches_replace", {}).get("attn1", {})
    outputs = [] if "attn1_patch" in hooks else hooks.get("attn1_output_patch", [])  # that one's other half
    joins = hooks.get("output_block_patch", [])
    if not (replaced or outputs or joins):
        return None
    if any(getattr(patch, "__module__", "") == SELF_ATTENTION_GUIDANCE for patch in replaced.values()):
        check_attention_map(unet, shape)
    told = {key: value for key, value in options.items() if key not in ("patches", "patches_replace")}
    attention, after, joins_of = {}, {}, {}
    for place, resnet, layer in numbered(unet):
        about = {**told, "block": place, "block_index": 0, "original_shape": list(shape)}
        if joins and place[0] == "output":
            joins_of[resnet] = partial(joined, joins, about)
        if layer is None:
            continue
        about |= {"n_heads": layer.heads, "dim_head": layer.to_q.out_features // layer.heads, "attn_precision": None}
        patch = replaced.get((*place, 0), replaced.get(place))
        if patch is not None:
            attention[layer] = partial(replacing, patch, about)
        if outputs:
            after[layer] = partial(attended, outputs, about)
    return Patches(attention, after, joins_of)


def numbered(unet: UNet) -> Iterator[tuple[Place, nn.Module, AddedTextAttention | Attention | None]]:
    """The host's number of every layer, its resnet, and the attention inside its frames, if it has one.

    On the way down a layer has the number of the skip connection it makes; on the way up layers are counted from 0;
    all of the middle is one (comfyui 4b).
    """
    number = 1  # the first convolution's is 0
    for block in cast(Iterable[DownBlock], unet.down_blocks):
        for index, resnet in enumerate(block.resnets):
            yield ("input", number + index), resnet, attention_of(block, index)
        number += len(block.resnets) + len(block.downsamplers)
    yield ("middle", 0), unet.mid_block.resnets[0], attention_of(unet.mid_block, 0)
    layers = [(block, index) for block in cast(Iterable[UpBlock], unet.up_blocks) for index in range(len(block.resnets))]
    for number, (block, index) in enumerate(layers):
        yield ("output", number), block.resnets[index], attention_of(block, index)


def attention_of(block: Block, index: int) -> AddedTextAttention | Attention | None:
    """The attention of this layer's pixels to each other."""
    if index >= len(block.attentions):
        return None
    layer = block.attentions[index]
    if isinstance(layer, SpatialTransformer):
        layer = cast(SpatialBlock, layer.transformer_blocks[0]).attn1
    return cast(AddedTextAttention | Attention, layer)


def replacing(patch: Callable[..., Tensor], about: dict[str, Any], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return patch(q, k, v, about)


def attended(patches: list[Callable[..., Tensor]], about: dict[str, Any], out: Tensor) -> Tensor:
    for patch in patches:
        out = patch(out, about)
    return out


def joined(patches: list[Callable[..., tuple[Tensor, Tensor]]], about: dict[str, Any], x: Tensor,
           skip: Tensor) -> tuple[Tensor, Tensor]:
    for patch in patches:
        x, skip = patch(x, skip, about)
    return x, skip


def check_attention_map(unet: UNet, shape: torch.Size) -> None:
    """Raises ValueError where self-attention guidance finds no map of pixels: in clips, and where text is among the keys."""
    if len(shape) == 5 or isinstance(unet.mid_block.attentions[0], AddedTextAttention):
        raise ValueError("SelfAttentionGuidance needs pictures and an attention of pixels alone, which this model has not; "
                         "remove it, or take PerturbedAttentionGuidance.")
