"""A MODEL's network as training calls it: weights in memory, gradients recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import comfy.model_management as mm
import torch
from torch import Tensor, nn

from ...show1_core import schedule as schedules
from ...show1_core.kernels.requirements import weights_looked_at
from ...show1_core.models.compile import as_written
from ...show1_core.models.unet import UNet
from ...show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR
from ...show1_core.tuning.motion import Network
from .dtypes import compute_dtype
from .text import PROMPT
from .weights import what_happens_to

# room for a step, as times of what lives at once in a call without gradients: counted (docs/motion.md, Memory and time)
KEPT_TIMES: Mapping[str, float] = {
    KEYFRAMES.name: 10, INTERPOLATION.name: 10, FIRST_FRAME.name: 6, PIXEL_SR.name: 4, LATENT_SR.name: 14}


@contextmanager
def learning(model: Any, shape: torch.Size) -> Iterator[Network]:
    """Inside, gradients of this MODEL's network can be had for clips of this shape (1, C, F, H, W); other models make room.

    The network keeps its weights, with whatever LoRA is on them, in their own dtype.
    """
    with torch.inference_mode(False):
        room = KEPT_TIMES[model.model.show1.stage.name] * model.model.memory_required(shape)
        mm.load_models_gpu([model], memory_required=int(room))
        unet = model.model.diffusion_model
        with unpinned(model):
            make_ordinary(unet)
        abar = schedules.signal_variance(model.model.show1.schedule).clone()
        with as_written(unet):
            yield Network(unet, abar, partial(called, unet), compute_dtype(model), model.load_device)


def called(unet: UNet, *inputs: Any) -> Tensor:
    """A call in the library's own convention, of weights that the host may cast or move on the way."""
    with weights_looked_at(what_happens_to):
        return UNet.forward(unet, *inputs)


@contextmanager
def unpinned(model: Any) -> Iterator[None]:
    """Inside, no weight of a MODEL is pinned, so that they may give way to others: registered memory must not be freed."""
    names = list(getattr(model, "pinned", ()))
    if hasattr(model, "unpin_all_weights"):
        model.unpin_all_weights()
    yield
    for name in names:
        model.pin_weight_to_device(name)


def make_ordinary(network: nn.Module) -> None:
    """Weights that were made in inference mode, which the host loads models in, as tensors that a backward pass may keep."""
    for layer in network.modules():
        for name, weight in layer.named_parameters(recurse=False):
            if weight.is_inference():
                setattr(layer, name, nn.Parameter(weight.detach().clone(), requires_grad=False))
            weight.requires_grad_(False)


def text_of(conditioning: Any) -> tuple[Tensor, str]:
    """The first text of CONDITIONING, (1, L, D), and the prompt that it was made of, as far as it is told."""
    states, values = conditioning[0]
    return states.detach().clone().float(), str(values.get(PROMPT, ""))
