"""Nodes on guidance that know batches of pictures alone: they are shown a clip's frames as such a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

GUIDANCE, BEFORE_GUIDANCE = "sampler_cfg_function", "sampler_pre_cfg_function"  # among a MODEL's options
CLIPS = "b c f h w"
EACH_ALONE, ONE_AFTER_ANOTHER = "(b f) c h w", "f c (b h) w"
RAMP = "comfy_extras.nodes_video_model"  # guidance that grows along the batch
LAYOUTS = {  # where a node's function is from: how frames stand in the batch that it takes
    "comfy_extras.nodes_apg": EACH_ALONE,
    "comfy_extras.nodes_fresca": EACH_ALONE,
    "comfy_extras.nodes_latent": EACH_ALONE,
    "comfy_extras.nodes_model_advanced": EACH_ALONE,  # RescaleCFG
    RAMP: ONE_AFTER_ANOTHER,
}
ALONE = "comfy_extras.nodes_lumina2"  # takes one clip or picture
ONE_PICTURE = ("{node} changes guidance from frame to frame, and a single picture is drawn at its min_cfg alone; remove it from "
               "this model.")
Guidance = Callable[[dict[str, Any]], Any]


def show_frames(options: dict[str, Any], shape: torch.Size) -> None:
    """Let nodes that know pictures alone guide samples of this shape, (B, C, F, H, W) or (F, C, H, W), frame by frame.

    Raises ValueError for one that takes a single sample, where there are more.
    """
    function = options.get(GUIDANCE)
    if origin(function) == ALONE and shape[0] > 1:
        raise ValueError(f"{node_of(function)} takes one clip or picture at a time, and here are {shape[0]}; remove it from this "
                         "model, or take RescaleCFG.")
    if len(shape) != len(CLIPS.split()):
        return
    if function is not None:
        options[GUIDANCE] = framewise(function)
    if BEFORE_GUIDANCE in options:
        options[BEFORE_GUIDANCE] = [framewise(one) for one in options[BEFORE_GUIDANCE]]


def idle_ramp(options: dict[str, Any], shape: torch.Size) -> str | None:
    """A sentence when guidance shall change along a clip that is one picture."""
    function, frames = options.get(GUIDANCE), shape[2] if len(shape) == len(CLIPS.split()) else shape[0]
    return ONE_PICTURE.format(node=node_of(function)) if origin(function) == RAMP and frames == 1 else None


def framewise(function: Guidance) -> Guidance:
    """The same function, shown frames, where it is one of those that know pictures alone."""
    layout = LAYOUTS.get(origin(function))
    return function if layout is None else partial(guided, function, layout)


def guided(function: Guidance, layout: str, args: dict[str, Any]) -> Any:
    """What the function says of clips (B, C, F, H, W), asked about pictures."""
    clips, _, frames = args["input"].shape[:3]
    out = function({name: as_pictures(value, layout, frames) for name, value in args.items()})
    return as_clips(out, layout, {"b": clips, "f": frames})


def as_pictures(value: Any, layout: str, frames: int) -> Any:
    """Clips in that layout; of numbers (B,) one for each frame; anything else as it is."""
    if isinstance(value, list):
        return [as_pictures(one, layout, frames) for one in value]
    if not isinstance(value, Tensor):
        return value
    return repeat(value, "b -> (b f)", f=frames) if value.ndim == 1 else rearrange(value, f"{CLIPS} -> {layout}")


def as_clips(value: Any, layout: str, counts: dict[str, int]) -> Any:
    """Back from that layout, a tensor or a list of them."""
    if isinstance(value, list):
        return [as_clips(one, layout, counts) for one in value]
    return rearrange(value, f"{layout} -> {CLIPS}", **{name: counts[name] for name in counts if name in layout})


def origin(function: Guidance | None) -> str:
    """The module that a node's function is from."""
    return getattr(function, "__module__", "")


def node_of(function: Guidance | None) -> str:
    """The node that made a function inside of its own."""
    return getattr(function, "__qualname__", "").split(".")[0]
