"""What a UNet's config may say. Anything else is refused in one sentence, before a layer is made of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import isfinite
from typing import Any, Literal

AttentionKind = Literal["none", "added_kv", "transformer"]
SamplerKind = Literal["none", "resnet", "conv"]

# published block name without its 2D/3D ending -> (attention of each layer, how the block changes resolution)
BLOCKS: Mapping[str, tuple[AttentionKind, SamplerKind]] = {
    "ResnetDownsampleBlock": ("none", "resnet"),
    "SimpleCrossAttnDownBlock": ("added_kv", "resnet"),
    "CrossAttnDownBlock": ("transformer", "conv"),
    "DownBlock": ("none", "conv"),
    "ResnetUpsampleBlock": ("none", "resnet"),
    "SimpleCrossAttnUpBlock": ("added_kv", "resnet"),
    "CrossAttnUpBlock": ("transformer", "conv"),
    "UpBlock": ("none", "conv"),
    "UNetMidBlock2DCrossAttn": ("transformer", "none"),
    "UNetMidBlock2DSimpleCrossAttn": ("added_kv", "none"),
    "UNetMidBlock3DSimpleCrossAttn": ("added_kv", "none"),
    "UNetMidBlock3DCrossAttn": ("transformer", "none"),
}

# keys whose other values would change the arithmetic in ways no Show-1 checkpoint uses; the first is what diffusers assumes
ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "act_fn": ("silu", "gelu", "swish"),
    "addition_embed_type": (None, "text"),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None, "timestep"),
    "class_embeddings_concat": (False,),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None, "group_norm"),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim_type": (None, "text_proj"),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_only_cross_attention": (False,),
    "num_attention_heads": (None,),
    "only_cross_attention": (False,),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "reverse_transformer_layers_per_block": (1,),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None, "gelu", "silu", "swish"),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
    "transformer_layers_per_block": (1,),
}
UNIFORM = ("cross_attention_dim", "only_cross_attention", "reverse_transformer_layers_per_block", "transformer_layers_per_block")
PRECISION = ("upcast_attention",)  # change how exactly something is computed, not what
IMPLIED: Mapping[str, Mapping[str, Any]] = {  # what diffusers' own classes have without saying so
    "UNet2DConditionModel": {"mid_block_type": "UNetMidBlock2DCrossAttn"},
    "UNet3DConditionModel": {"mid_block_type": "UNetMidBlock3DCrossAttn", "use_linear_projection": True,
                             "transfromer_in_opt": True},
}
HEAD_DIM = 64  # of every head in diffusers' own video UNet

# whole numbers: the least and the most; a published UNet is far from either
SIZES: Mapping[str, tuple[int, int]] = {
    "addition_embed_type_num_heads": (1, 1024),
    "attention_head_dim": (1, 2**16),
    "block_out_channels": (1, 2**16),
    "cross_attention_dim": (1, 2**16),
    "encoder_hid_dim": (1, 2**16),
    "in_channels": (1, 64),
    "layers_per_block": (1, 16),
    "norm_num_groups": (1, 2**16),
    "out_channels": (1, 64),
    "time_embedding_dim": (1, 2**16),
}
PER_LEVEL = ("attention_head_dim", "layers_per_block")  # one for all levels, or one for each
LEVELS = 8  # at most
OPTIONAL = ("addition_embed_type_num_heads", "encoder_hid_dim", "time_embedding_dim")  # may be null
FACTORS = ("mid_block_scale_factor", "norm_eps", "resnet_out_scale_factor")  # positive
SWITCHES = ("resnet_skip_time_act", "transfromer_in_opt", "use_linear_projection")
REQUIRED = ("in_channels", "out_channels", "block_out_channels", "down_block_types", "mid_block_type", "up_block_types",
            "cross_attention_dim")


class ConfigError(ValueError):
    """A UNet config that no Show-1 stage has, or that is not a UNet config at all."""


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same config in the spelling of the published files: what diffusers allows to be written in several ways, in one.

    A null is the same as no key (but for norms, which would be left out); a list of equal values is that value. The rest is
    left to `check`. Raises ConfigError for heads that only diffusers' own video UNet has.
    """
    given = {key: value for key, value in config.items() if value is not None or key == "norm_num_groups"}
    for key in UNIFORM:
        value = given.get(key)
        if isinstance(value, (list, tuple)) and value and all(each == value[0] for each in value):
            given[key] = value[0]
    if "mid_block_type" in given:
        return given
    return {**given, **IMPLIED.get(str(given.get("_class_name")), {}), **video_heads(given)}


def video_heads(config: Mapping[str, Any]) -> dict[str, Any]:
    """The number of heads of each level where diffusers' own video UNet names their width. Raises ConfigError.

    Show-1's files name the same class, but also their middle block, for which diffusers' class has no key.
    """
    blocks = config.get("block_out_channels")
    if config.get("_class_name") != "UNet3DConditionModel" or not isinstance(blocks, (list, tuple)):
        return {}
    if config.get("attention_head_dim", HEAD_DIM) != HEAD_DIM:
        raise wrong(config, "attention_head_dim", f"{HEAD_DIM} (for diffusers' own class, which Show-1's is not)")
    return {"attention_head_dim": [channels // HEAD_DIM for channels in blocks if type(channels) is int]}


def check(config: Mapping[str, Any]) -> None:
    """Refuse what is no config of a UNet, and numbers and arithmetic that no Show-1 UNet has. Raises ConfigError.

    `config` is as `plain` gives it. Keys that change precision alone are named in the log.
    """
    missing = [key for key in REQUIRED if config.get(key) is None]
    if missing:
        raise ConfigError(f"the config lacks {', '.join(missing)}; expected the config.json of a Show-1 unet folder.")
    for key, allowed in ALLOWED.items():
        if key in config and config[key] not in allowed:
            raise wrong(config, key, " or ".join(map(repr, allowed)))
    if "class_embed_type" not in config and config.get("num_class_embeds") is not None:
        raise wrong(config, "num_class_embeds", "null, for no class is asked for,")
    check_numbers(config)
    check_blocks(config)
    for key in PRECISION:
        if config.get(key):
            logging.warning("Show-1: config key %s is %s, which changes precision alone; it is not followed here, attention is "
                            "computed in the type of the model.", key, shown(config[key]))


def check_numbers(config: Mapping[str, Any]) -> None:
    """Sizes, factors and switches. Raises ConfigError."""
    blocks = config["block_out_channels"]
    if not isinstance(blocks, (list, tuple)) or not 1 <= len(blocks) <= LEVELS:
        raise wrong(config, "block_out_channels", f"a list of channels, a level each, at most {LEVELS}")
    for key, (least, most) in SIZES.items():
        value = config.get(key, least)
        if value is None and key in OPTIONAL:
            continue
        several = isinstance(value, (list, tuple)) and (key in PER_LEVEL or key == "block_out_channels")
        numbers = list(value or ()) if several else [value]
        count = len(blocks) if several else 1
        if len(numbers) != count or not all(type(number) is int and least <= number <= most for number in numbers):
            each = f", or {len(blocks)} of them, one for each of block_out_channels" if key in PER_LEVEL else ""
            raise wrong(config, key, f"a whole number from {least} to {most}{each}")
    for key in FACTORS:
        value = config.get(key, 1)
        if type(value) not in (int, float) or not isfinite(value) or value <= 0:
            raise wrong(config, key, "a number above 0")
    for key in SWITCHES:
        if type(config.get(key, False)) is not bool:
            raise wrong(config, key, "true or false")


def check_blocks(config: Mapping[str, Any]) -> None:
    """The names of the blocks. Raises ConfigError."""
    levels = len(config["block_out_channels"])
    for key in ("down_block_types", "up_block_types"):
        if not isinstance(config[key], (list, tuple)) or len(config[key]) != levels:
            raise wrong(config, key, f"{levels} names, one for each of block_out_channels")
    kinds = [*config["down_block_types"], config["mid_block_type"], *config["up_block_types"]]
    for kind in kinds:
        block_kind(kind)
    if len({"2D" in kind for kind in kinds}) > 1:
        raise ConfigError(f"the config mixes 2D and 3D blocks ({', '.join(kinds)}); expected one kind throughout.")


def block_kind(name: Any) -> tuple[AttentionKind, SamplerKind]:
    """Attention and resampling of a published block name such as `SimpleCrossAttnDownBlock3D`. Raises ConfigError."""
    known = name if isinstance(name, str) else ""
    kind = BLOCKS.get(known) or BLOCKS.get(known.removesuffix("2D").removesuffix("3D"))
    if kind is None:
        raise ConfigError(f"block type {shown(name)} is in no Show-1 UNet; known are {', '.join(BLOCKS)} (with 2D or 3D behind).")
    return kind


def wrong(config: Mapping[str, Any], key: str, expected: str) -> ConfigError:
    """The sentence for a value."""
    return ConfigError(f"config key {key} is {shown(config[key])}; expected {expected} in a Show-1 UNet.")


def shown(value: Any) -> str:
    """A value as the file has it, not all of it when it is long."""
    return repr(value)[:80]
