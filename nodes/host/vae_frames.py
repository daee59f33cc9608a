"""A clip through one half of a VAE, frame by frame: what short memory and NaN lead to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import copy, deepcopy
from functools import partial
from typing import Any, Protocol

import comfy.cli_args
import comfy.model_management as mm
import comfy.model_patcher
import comfy.utils
import torch
from torch import Tensor

from ...show1_core.memory import is_out_of_memory, size_that_fits
from ...show1_core.models.finite import NotFinite

TILES = (512, 256)  # pixels of a side, tried one after the other
EVERYTHING = 1e30  # bytes to free, as the host itself asks for it


class Half(Protocol):
    """One direction of a VAE: frames (F, C, h, w) in, frames (F, C', h', w') in float32 out. Both raise NotFinite."""

    name: str  # encode or decode
    vae: Any  # the host's, whose `vae_dtype` is what it computes in

    def frame_bytes(self, frames: Tensor) -> float: ...

    def picture_size(self, frames: Tensor) -> tuple[int, int]: ...

    def whole(self, frames: Tensor) -> Tensor: ...

    def tiled(self, frames: Tensor, side: int) -> Tensor: ...


def all_frames(make: Callable[[Any], Half], vae: Any, frames: Tensor) -> Tensor:
    """What the half that `make` builds of a VAE makes of frames (F, C, h, w), in float32, where the host wants results.

    Raises RuntimeError in one sentence when it makes NaN or infinity, or when memory does not suffice for a tile.
    """
    half = make(vae)
    try:
        return frame_by_frame(half, frames)
    except NotFinite as error:
        said, chosen = f"the VAE's {half.name} made NaN or infinity in {vae.vae_dtype}", chosen_dtype()
        if chosen and vae.vae_dtype != torch.float32:
            raise RuntimeError(f"{said}; start ComfyUI without {chosen}.") from error
        if vae.vae_dtype == torch.float32:
            raise RuntimeError(f"{said}; its file may be damaged: download it again, or take another VAE.") from error
        logging.warning("Show-1: %s; it is done again in torch.float32.", said)
    return all_frames(make, in_float32(vae), frames)


def frame_by_frame(half: Half, frames: Tensor) -> Tensor:
    """One frame a call: PyTorch's kernels round differently for other batches, and bits are not to depend on free memory.

    When memory is short, other models leave it; when that is not enough, all frames are done in tiles.
    """
    needed = half.frame_bytes(frames)
    mm.load_models_gpu([half.vae.patcher], memory_required=needed)
    bar, parts = comfy.utils.ProgressBar(len(frames)), []
    for number, frame in enumerate(frames.split(1), start=1):
        part = within_memory(partial(half.whole, frame))
        if part is None:
            logging.warning("Show-1: memory is short for the VAE's %s; other models are put out of it.", half.name)
            mm.free_memory(EVERYTHING, half.vae.device)
            mm.load_models_gpu([half.vae.patcher], memory_required=needed)
            part = within_memory(partial(half.whole, frame))
        if part is None:
            return in_tiles(half, frames)
        parts.append(part)
        bar.update_absolute(number)  # which also looks whether the user has cancelled
    return torch.cat(parts)


def in_tiles(half: Half, frames: Tensor) -> Tensor:
    """All frames in overlapping tiles, so that none differs from its neighbours. Raises RuntimeError when none fits."""
    height, width = half.picture_size(frames)
    for side in TILES:
        logging.warning("Show-1: memory does not suffice for a frame of %dx%d in the VAE's %s; all are done in tiles of %d "
                        "pixels, whose seams may show.", width, height, half.name, side)
        out = within_memory(partial(half.tiled, frames, side))
        if out is not None:
            return out
    small = size_that_fits(mm.get_free_memory(half.vae.device), half.frame_bytes(frames), height, width)
    raise RuntimeError(f"the VAE's {half.name} of {width}x{height} does not fit into memory, not even in tiles; try a smaller "
                       f"size, such as {small[1]}x{small[0]}. Other programs and models in the same memory count too.")


def within_memory(call: Callable[[], Tensor]) -> Tensor | None:
    """The result of a call; None when memory was short, and what the call left there is free again."""
    try:
        return call()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    mm.soft_empty_cache()  # outside the handler: the error holds on to everything the call had made
    return None


def finite(out: Tensor, half: str) -> Tensor:
    """The same. Raises NotFinite when it holds NaN or infinity."""
    if not bool(torch.isfinite(out).all()):
        raise NotFinite(f"the VAE's {half}")
    return out


def chosen_dtype() -> str | None:
    """The user's own choice of what VAEs compute in, as the host's command line has it."""
    options = ("fp16_vae", "bf16_vae", "fp32_vae")
    return next((f"--{name.replace('_', '-')}" for name in options if getattr(comfy.cli_args.args, name, False)), None)


def in_float32(vae: Any) -> Any:
    """The same VAE with weights of its own that compute in float32."""
    wide = copy(vae)
    wide.first_stage_model = deepcopy(vae.first_stage_model).to(torch.float32)
    wide.patcher = comfy.model_patcher.ModelPatcher(
        wide.first_stage_model, load_device=vae.patcher.load_device, offload_device=vae.patcher.offload_device)
    wide.vae_dtype = torch.float32
    return wide
