"""What a published `unet/config.json` says, and the levels a UNet is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config_check import AttentionKind, SamplerKind, block_kind, check, plain


@dataclass(frozen=True)
class Level:
    """One block of the UNet: a run of layers at one resolution.

    `resnet_inputs` holds the input channels of each layer's resnet, skip connections included.
    Spatial heads are (heads, channels a head); temporal attention has `temporal_heads` of `channels / heads` (numerics T4).
    """

    resnet_inputs: tuple[int, ...]
    channels: int
    attention: AttentionKind
    sampler: SamplerKind
    spatial_heads: int
    spatial_head_dim: int
    temporal_heads: int


@dataclass(frozen=True)
class UNetConfig:
    """The numbers of one published UNet (numerics 3.1)."""

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]
    layers_per_block: tuple[int, ...]
    down_block_types: tuple[str, ...]
    mid_block_type: str
    up_block_types: tuple[str, ...]
    attention_head_dim: tuple[int, ...]
    cross_attention_dim: int
    cross_attention_norm: str | None
    encoder_hid_dim: int | None
    pooled_text_heads: int | None
    takes_noise_level: bool
    time_embedding_dim: int
    time_embedding_act: str | None
    time_scale_shift: bool
    skip_time_act: bool
    resnet_out_scale: float
    mid_out_scale: float
    activation: str
    norm_groups: int
    norm_eps: float
    temporal: bool
    transformer_in: bool
    linear_projection: bool

    @property
    def text_dim(self) -> int:
        """Width of the text states the UNet is called with."""
        return self.encoder_hid_dim or self.cross_attention_dim

    @property
    def sample_channels(self) -> int:
        """Channels that are denoised; the other inputs are the condition, the other outputs the variance."""
        return 4 if self.in_channels == 4 else 3

    @property
    def takes_windows(self) -> bool:
        """Whether a long clip may be computed in windows of time: the latent stage's, which redraws frames that are there.

        Frames drawn from noise alone would drift apart, and the stages between have pairs and windows of their own.
        """
        return self.temporal and self.sample_channels == 4

    @property
    def size_multiple(self) -> int:
        """What height and width must be divisible by; blocks that halve by convolution take any size."""
        halvings = len(self.block_out_channels) - 1
        return 2**halvings if block_kind(self.down_block_types[0])[1] == "resnet" else 1

    @property
    def peak_elements(self) -> int:
        """Elements of features that live at once in a call, for each pixel of each row; measured, with some room (numerics 4).

        The peak lies at the finest resolution, so the first level's channels set it: 8 times as many inside a
        feed-forward, beside its input, its result and the skip connections; fewer where blocks hold convolutions alone.
        """
        transformers = block_kind(self.mid_block_type)[0] == "transformer"
        return self.block_out_channels[0] * (30 if transformers else 20)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> UNetConfig:
        """Read a published `config.json`. Raises ConfigError in one sentence for anything Show-1 does not have."""
        config = plain(config)
        check(config)
        blocks = tuple(int(c) for c in config["block_out_channels"])
        levels = len(blocks)
        return cls(
            in_channels=int(config["in_channels"]),
            out_channels=int(config["out_channels"]),
            block_out_channels=blocks,
            layers_per_block=per_level(config, "layers_per_block", levels, 2),
            down_block_types=tuple(config["down_block_types"]),
            mid_block_type=config["mid_block_type"],
            up_block_types=tuple(config["up_block_types"]),
            attention_head_dim=per_level(config, "attention_head_dim", levels, 8),
            cross_attention_dim=int(config["cross_attention_dim"]),
            cross_attention_norm=config.get("cross_attention_norm"),
            encoder_hid_dim=config.get("encoder_hid_dim"),
            pooled_text_heads=config.get("addition_embed_type_num_heads", 64) if config.get("addition_embed_type") else None,
            takes_noise_level=config.get("class_embed_type") == "timestep",
            time_embedding_dim=config.get("time_embedding_dim") or 4 * blocks[0],
            time_embedding_act=config.get("time_embedding_act_fn"),
            time_scale_shift=config.get("resnet_time_scale_shift", "default") == "scale_shift",
            skip_time_act=bool(config.get("resnet_skip_time_act", False)),
            resnet_out_scale=float(config.get("resnet_out_scale_factor", 1.0)),
            mid_out_scale=float(config.get("mid_block_scale_factor", 1.0)),
            activation=config.get("act_fn", "silu"),
            norm_groups=int(config.get("norm_num_groups", 32)),
            norm_eps=float(config.get("norm_eps", 1e-5)),
            temporal=config["down_block_types"][0].endswith("3D"),
            transformer_in=bool(config.get("transfromer_in_opt", False)),  # spelled so in the published files (numerics T17)
            linear_projection=bool(config.get("use_linear_projection", False)),
        )

    def down_levels(self) -> list[Level]:
        """Blocks from the finest to the coarsest resolution."""
        levels, previous, last = [], self.block_out_channels[0], len(self.block_out_channels) - 1
        for i, channels in enumerate(self.block_out_channels):
            inputs = (previous, *[channels] * (self.layers_per_block[i] - 1))
            levels.append(self._level(self.down_block_types[i], inputs, channels, self.attention_head_dim[i], i < last))
            previous = channels
        return levels

    def mid_level(self) -> Level:
        """The block at the coarsest resolution: two resnets with attention between them."""
        channels = self.block_out_channels[-1]
        return self._level(self.mid_block_type, (channels, channels), channels, self.attention_head_dim[-1], False)

    def up_levels(self) -> list[Level]:
        """Blocks from the coarsest to the finest resolution; every resnet also takes one skip connection."""
        blocks, layers = self.block_out_channels[::-1], self.layers_per_block[::-1]
        levels, previous, last = [], blocks[0], len(blocks) - 1
        for i, channels in enumerate(blocks):
            below = blocks[min(i + 1, last)]
            count = layers[i] + 1
            carried = [previous] + [channels] * (count - 1)
            skips = [channels] * (count - 1) + [below]
            kind = self.up_block_types[i]
            # The official class hands the list of head sizes to these blocks reversed, except to the simple ones (numerics 3.9).
            heads = self.attention_head_dim[i if block_kind(kind)[0] == "added_kv" else last - i]
            levels.append(self._level(kind, tuple(a + b for a, b in zip(carried, skips)), channels, heads, i < last))
            previous = channels
        return levels

    def _level(self, kind: str, inputs: tuple[int, ...], channels: int, head_number: int, resamples: bool) -> Level:
        attention, sampler = block_kind(kind)
        heads = channels // head_number if attention == "added_kv" else head_number
        return Level(inputs, channels, attention, sampler if resamples else "none", heads, channels // heads, head_number)


def per_level(config: Mapping[str, Any], key: str, levels: int, default: int) -> tuple[int, ...]:
    """A number that stands for every level, or one number a level."""
    value = config.get(key, default)
    return tuple(value) if isinstance(value, (list, tuple)) else (value,) * levels
