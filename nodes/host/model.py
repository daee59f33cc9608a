"""A Show-1 UNet as the host's native MODEL."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.patcher_extension
import comfy.supported_models_base
import comfy.utils
import torch
from torch import Tensor

from ...show1_core import schedule as schedules
from ...show1_core.checkpoints import RECORD, Checkpoint, Identity, record_tensor
from ...show1_core.models.compile import Blocks, compile_regions
from ...show1_core.models.whole_calls import BLOCKS, GRAPH, cuda_graph
from ..titles import frames_wanted
from .around_runs import reported
from .dtypes import types_of
from .loading import cancellable, stop_if_cancelled
from .network import HostUNet
from .on_node import Warned
from .proving import prove_kernels
from .run_memory import RunMemory, RunMemoryCond
from .text_over_time import placed_cond

MOST_ROWS = 16  # clips, both halves of guidance counted, that the host is asked to make room for: all of the published run
MOST_FRAMES = 32  # of a long clip of the latent stage that must have room beside the weights
NOISE_LEVEL, MEMORY = "show1_noise_level", "show1_run_memory"  # in CONDITIONING


class PixelFormat(comfy.latent_formats.LatentFormat):
    """Clips in pixel space: three channels, shown as they are."""

    latent_channels = 3
    latent_dimensions = 3
    latent_rgb_factors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


class HostModel(comfy.model_base.BaseModel):
    """A Show-1 UNet as the host's model: text, frames and noise level are ordinary conditioning."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        sentence = frames_wanted(self.show1)
        if sentence and "noise_concat" not in kwargs:
            raise ValueError(sentence)
        conds = {**super().extra_conds(**kwargs), "placed": placed_cond(kwargs)}
        if NOISE_LEVEL in kwargs:
            conds["noise_level"] = comfy.conds.CONDRegular(torch.tensor([kwargs[NOISE_LEVEL]]))
        if not kwargs.get("hooks"):  # they may change the weights from step to step
            conds["run_memory"] = RunMemoryCond(kwargs.get(MEMORY) or RunMemory())
        return conds

    def apply_model(self, x: Tensor, t: Tensor, c_concat: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """As the host's; of frames for the network those of the context window alone, where the host has left them whole."""
        window = kwargs.get("transformer_options", {}).get("context_window")
        if window is not None and c_concat is not None and c_concat.ndim == 5 and c_concat.shape[2] != x.shape[2]:
            c_concat = window.get_tensor(c_concat, dim=2)
        return super().apply_model(x, t, c_concat, *args, **kwargs)

    def memory_required(self, input_shape: Any, *_: Any, **__: Any) -> float:
        """Bytes of features to make room for in a call of this shape (B, C, ..., h, w), on every device and attention.

        Of very many clips, such as the pairs of a long one, room for some is enough: they are done in groups. The host asks
        for both halves of guidance, for which it puts others out of memory, and for one, which must have room beside the
        weights: of one clip that may be done in windows of time, that of some frames is enough.
        """
        rows = min(input_shape[0], MOST_ROWS) if len(input_shape) == 5 else input_shape[0]
        frames, *sides = input_shape[2:]
        if input_shape[0] == 1 and len(sides) == 2 and self.show1.config.takes_windows:
            frames = min(frames, MOST_FRAMES)
        pixels = rows * frames * math.prod(sides)
        dtype = self.manual_cast_dtype or self.get_dtype()
        return pixels * self.show1.config.peak_elements * mm.dtype_size(dtype)

    def state_dict_for_saving(self, *others: Any, **named: Any) -> dict[str, Tensor]:
        return {**super().state_dict_for_saving(*others, **named), RECORD: record_tensor(self.show1)}


def load_model(checkpoint: Checkpoint, dtype: str, kernels: str = "auto", dynamic: bool = True) -> Any:
    """A native MODEL of a checkpoint: placed, cast and streamed by the host. `dtype` is auto or one of DTYPES.

    dynamic: with the patcher that newer hosts prefer, which brings weights in as they are needed.
    """
    identity, first = checkpoint.identity, next(iter(checkpoint.tensors.values()))
    device, parameters = mm.get_torch_device(), comfy.utils.calculate_parameters(checkpoint.tensors)
    config = comfy.supported_models_base.BASE({})
    config.unet_config = {"config": identity.config}  # what UNet is made with, beside dtype, device and operations
    config.set_inference_dtype(*types_of(dtype, device, list(config.supported_inference_dtypes), parameters, first.dtype))
    latents = identity.config.sample_channels == 4
    config.latent_format = comfy.latent_formats.SD15(identity.latent_scale) if latents else PixelFormat()
    model = HostModel(config, device=mm.unet_offload_device(), unet_model=HostUNet)
    model.model_sampling.set_sigmas(schedules.sigma_table(identity.schedule))
    config.unet_config = {**config.unet_config, "model_channels": identity.config.block_out_channels[0]}  # FreeU asks
    with cancellable(model.diffusion_model):
        model.load_model_weights(dict(checkpoint.tensors), "")
    model.show1, model.show1_dtype, model.warned = identity, dtype, Warned()
    prove_kernels(model.diffusion_model, kernels, device)
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher" if dynamic else "ModelPatcher", comfy.model_patcher.ModelPatcher)
    loaded = patcher(model, load_device=device, offload_device=mm.unet_offload_device())
    loaded.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, "show1", reported)
    if (most := identity.schedule.threshold_max) is not None:  # part of the model, so that core samplers apply it too
        loaded.set_model_sampler_post_cfg_function(partial(threshold, identity.schedule.threshold_ratio, most))
    return loaded


def compile_blocks(model: Any) -> None:
    """Let the blocks of a MODEL be compiled when they are first called. Raises ValueError where there is no compiler."""
    unet = model.model.diffusion_model
    compile_regions(unet)
    unet.compiled = True
    cancellable_levels(unet)


def try_ways(model: Any) -> None:
    """Let calls of a MODEL be made in whichever way a trial finds fastest: on a GPU, as long as no weight is streamed."""
    unet = model.model.diffusion_model
    unet.ways = {GRAPH: cuda_graph, BLOCKS: Blocks(unet)}
    cancellable_levels(unet)


def cancellable_levels(unet: HostUNet) -> None:
    """Compiling takes long enough for a user to cancel."""
    for level in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        level.register_forward_pre_hook(stop_if_cancelled)


def identity_of(model: Any) -> Identity | None:
    """What a MODEL was loaded from; None when it is none of ours."""
    return getattr(model.model, "show1", None)


def kind_of(model: Any) -> str:
    """The host's name for the kind of a MODEL, such as `SDXL`."""
    return type(model.model.model_config).__name__


def threshold(ratio: float, maximum: float, args: dict[str, Any]) -> Tensor:
    """Dynamic thresholding as a post-CFG function."""
    return schedules.dynamic_threshold(args["denoised"], ratio, maximum)
