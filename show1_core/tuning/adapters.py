"""Small additions to chosen layers of a UNet: low-rank ones (LoRA, Hu et al. 2021) or whole matrices.

A layer's own weights are read and never written; an addition is made of the layer's input and added to its result, which is
the same as adding it to the weights. So it does not matter in which dtype they lie, or whether they are streamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..models.unet import UNet

TEMPORAL = r"temp_attentions\.\d+\.transformer_blocks\.\d+\.attn[12]"
SPATIAL = r"\battentions\.\d+\.(?:transformer_blocks\.\d+\.attn[12]\.)?(?:to_[qkv]|add_[kv]_proj|to_out\.0)"
TEMPORAL_CONVOLUTIONS = r"temp_convs\.\d+\.conv\d\.\d"
SPATIAL_CONVOLUTIONS = r"resnets\.\d+\.conv\d"
QKV = "q k v"  # what VMC trains (Jeong et al. 2023, section 4.3)
KEYS = "k"  # values keep the appearance (arXiv 2501.16714)
TEMPORAL_ATTENTION = "temporal attention"
TEMPORAL_LAYERS = "temporal attention and convolutions"
SPATIAL_ATTENTION = "spatial attention"
SPATIAL_LAYERS = "spatial attention and convolutions"
# By the name of a set: which layers are in it, as a pattern of their names
SETS: Mapping[str, str] = {
    QKV: rf"{TEMPORAL}\.to_[qkv]",
    KEYS: rf"{TEMPORAL}\.to_k",
    TEMPORAL_ATTENTION: rf"{TEMPORAL}\.(?:to_[qkv]|to_out\.0)",
    TEMPORAL_LAYERS: rf"{TEMPORAL}\.(?:to_[qkv]|to_out\.0)|{TEMPORAL_CONVOLUTIONS}",
    SPATIAL_ATTENTION: SPATIAL,
    SPATIAL_LAYERS: rf"{SPATIAL}|{SPATIAL_CONVOLUTIONS}",
}
MULTIPLY = {2: F.linear, 4: F.conv2d, 5: F.conv3d}  # by the dimensions of the weight


class LowRank(nn.Module):
    """up(down(x)) of rank r: down (r, inputs, ...) with the layer's own kernel, up (outputs, r, 1, ...), which begins at 0."""

    def __init__(self, layer: nn.Module, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        outputs, *inside = weight_of(layer).shape
        bound = torch.Size(inside).numel() ** -0.5
        self.rank = rank
        self.down = nn.Parameter((torch.rand((rank, *inside), generator=generator) * 2 - 1) * bound)
        self.up = nn.Parameter(torch.zeros((outputs, rank, *[1] * (len(inside) - 1))))

    def forward(self, x: Tensor, layer: nn.Module) -> Tensor:
        inside = multiplied(x, self.down, layer)
        return over_frames(inside, self.up, 0) if self.up.ndim == 5 else MULTIPLY[self.up.ndim](inside, self.up.to(x.dtype))


class Whole(nn.Module):
    """A change of every number of a weight, which begins at 0."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.diff = nn.Parameter(torch.zeros(weight_of(layer).shape))

    def forward(self, x: Tensor, layer: nn.Module) -> Tensor:
        return multiplied(x, self.diff, layer)


def weight_of(layer: nn.Module) -> Tensor:
    weight: Any = layer.weight
    return weight


def multiplied(x: Tensor, weight: Tensor, layer: Any) -> Tensor:
    """x with a weight in place of the layer's own, as the layer uses it, in the dtype of x; without bias."""
    weight = weight.to(x.dtype)
    if weight.ndim == 2:
        return F.linear(x, weight)
    if weight.ndim == 5 and layer.kernel_size[1:] == (1, 1):
        return over_frames(x, weight, layer.padding[0])
    return MULTIPLY[weight.ndim](x, weight, stride=layer.stride, padding=layer.padding, dilation=layer.dilation)


def over_frames(x: Tensor, weight: Tensor, padding: int) -> Tensor:
    """A convolution over the frames of x (B, C, F, H, W), in two dimensions: CPUs have a fast one of that, and for clips none."""
    flat = F.conv2d(x.flatten(3), weight[..., 0].to(x.dtype), padding=(padding, 0))
    return flat.unflatten(3, x.shape[3:])


@dataclass(frozen=True)
class Adapters:
    """Additions in float32 by the name of the layer, which is that of the published tensor without `.weight`."""

    layers: Mapping[str, LowRank | Whole]

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [parameter for adapter in self.layers.values() for parameter in adapter.parameters()]

    def to(self, device: torch.device) -> Adapters:
        """The same, moved."""
        for adapter in self.layers.values():
            adapter.to(device)
        return self

    @property
    def rank(self) -> int:
        """The largest rank; 0 for whole matrices."""
        return max(getattr(adapter, "rank", 0) for adapter in self.layers.values())


def layers_of(unet: nn.Module, which: str) -> dict[str, nn.Module]:
    """The layers of a set, one of SETS, by name. Raises ValueError for a UNet that has none of them."""
    if which not in SETS:
        raise ValueError(f"train is {which!r}; expected one of {', '.join(SETS)}.")
    pattern = re.compile(rf"(?:{SETS[which]})$")
    found = {name: layer for name, layer in unet.named_modules()
             if pattern.search(name) and getattr(getattr(layer, "weight", None), "ndim", 0) > 1}  # norms are left out
    if not found:
        raise ValueError(f"train is {which!r}, of which this model has no layer; choose another set of layers.")
    return found


def new_adapters(unet: UNet, which: str, rank: int, seed: int) -> Adapters:
    """Additions of nothing to the layers of a set; of whole matrices where rank is 0. Raises ValueError."""
    generator = torch.Generator().manual_seed(seed % 2**64)
    layers = layers_of(unet, which)
    return Adapters({name: LowRank(layer, rank, generator) if rank else Whole(layer) for name, layer in layers.items()})


def attach(unet: nn.Module, adapters: Adapters, strength: float = 1.0) -> list[RemovableHandle]:
    """Calls of the UNet have the additions, times `strength`, until the handles are removed; with 0 nothing is done at all."""
    modules = dict(unet.named_modules()) if strength else {}
    return [modules[name].register_forward_hook(adding(adapter, strength))
            for name, adapter in adapters.layers.items() if strength]


@contextmanager
def attached(unet: nn.Module, adapters: Adapters, strength: float = 1.0) -> Iterator[None]:
    """Inside this context calls of the UNet have the additions, as by `attach`."""
    hooks = attach(unet, adapters, strength)
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def adding(adapter: LowRank | Whole, strength: float) -> Any:
    """A hook of a layer that adds to its result."""
    def add(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
        more = adapter(inputs[0], layer)
        return out + (more if strength == 1.0 else strength * more)
    return add
