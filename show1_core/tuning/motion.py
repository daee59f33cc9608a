"""Adapters learn how one clip moves, or how it looks: the training loop, a step at a time.

A frozen UNet predicts the noise of the noised clip; what is trained is attached to its layers. A step is a function of
seed and step number, so that going on after a pause draws what an unbroken run would have drawn.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..memory import is_out_of_memory, torch_memory
from ..models.blocks import Block
from ..models.unet import UNet
from ..sampling import dpm_solver, thresholded
from ..schedule import Schedule, nearest_timestep, published_sigmas, sigma_table, signal_scale
from . import objectives
from .adapters import QKV, Adapters, attached
from .examples import LOOKS, Example

Loss = Callable[[Tensor, Tensor, Tensor, torch.Generator], Tensor]  # prediction, noise (B, C, F, H, W), abar (B,), draws

FRAME_COSINE = "frame cosine"
LOSSES: Mapping[str, Loss] = {
    FRAME_COSINE: lambda guess, noise, signal, draws: objectives.residual_cosine(guess, noise),
    "frame cosine, as VMC's code": lambda guess, noise, signal, draws: objectives.residual_cosine_over_time(guess, noise),
    "frame error": lambda guess, noise, signal, draws: objectives.residual_error(guess, noise, signal),
    "debiased": lambda guess, noise, signal, draws: objectives.debiased(
        guess, noise, int(torch.randint(noise.shape[2], (1,), generator=draws))),
    LOOKS: lambda guess, noise, signal, draws: objectives.noise_prediction(guess, noise),
}
OF_ONE_FRAME = (LOOKS,)  # losses that a single frame has


@dataclass(frozen=True)
class Plan:
    """How long and how fast, as VMC (Jeong et al. 2023, section 4): AdamW, clipped gradients, one clip a step."""

    steps: int = 400
    learning_rate: float = 1e-4
    loss: str = FRAME_COSINE
    train: str = QKV
    rank: int = 32  # 0: whole matrices
    seed: int = 0
    weight_decay: float = 0.01
    clip: float = 1.0
    checkpointing: bool = False


@dataclass(frozen=True)
class Network:
    """A UNet that can be called as in its own contract, and the (1000,) abar of its schedule."""

    unet: UNet
    abar: Tensor
    call: Callable[..., Tensor]
    dtype: torch.dtype
    device: torch.device

    def predict(self, x: Tensor, timestep: Tensor, example: Example) -> Tensor:
        """The noise in x (B, C, F, H, W) at timesteps (B,), in float32."""
        given = x if example.frames is None else torch.cat([x, example.frames.to(x)], dim=1)
        level = None if example.noise_level is None else torch.tensor(example.noise_level, device=self.device)
        out = self.call(given.to(self.device, self.dtype), timestep.to(self.device),
                        example.text.to(self.device, self.dtype), level, x.shape[1])
        return out.float()


class NotLearning(RuntimeError):
    """The loss is no number any more; what was learnt before is kept."""


class Tuner:
    """Trains adapters, one step a call. What has been learnt may be taken at any time, also after an error."""

    def __init__(self, network: Network, adapters: Adapters, example: Example, plan: Plan, losses: Sequence[float] = ()) -> None:
        check(example, plan)
        self.network, self.adapters, self.example, self.plan = network, adapters.to(network.device), example, plan
        self.losses, self.checkpointing = list(losses), plan.checkpointing
        self.optimizer = torch.optim.AdamW(adapters.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
        self.scaler: Any = torch.amp.GradScaler(network.device.type, enabled=network.dtype == torch.float16)
        self.good, self.good_steps = copies(adapters), len(self.losses)

    @property
    def step(self) -> int:
        """How many steps have been done, those before a pause included."""
        return len(self.losses)

    def advance(self) -> float:
        """One step; its loss. Raises NotLearning when that is no number, or RuntimeError when memory does not suffice."""
        while True:
            try:
                return self._step()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self.optimizer.zero_grad()  # outside the handler: the error holds on to everything the attempt had made
            self._with_less()

    def _step(self) -> float:
        draws = torch.Generator().manual_seed((self.plan.seed * 1_000_003 + self.step) % 2**64)
        parameters = self.adapters.parameters()
        around = checkpointed(self.network.unet) if self.checkpointing else nullcontext()
        with torch.enable_grad(), attached(self.network.unet, self.adapters), around:
            loss = loss_of(self.network, self.example, self.plan.loss, draws)
            self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.plan.clip)
        value = float(loss.detach())
        if not torch.isfinite(loss) or not (self.scaler.is_enabled() or torch.isfinite(norm)):
            self._stop(value)
        self.good, self.good_steps = copies(self.adapters), self.step
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.losses.append(value)
        return value

    @torch.no_grad()
    def _stop(self, value: float) -> None:
        """Go back to the weights that last made a number. Raises NotLearning."""
        for parameter, good in zip(self.adapters.parameters(), self.good, strict=True):
            parameter.copy_(good)
        self.optimizer.zero_grad()
        step, self.losses = self.step + 1, self.losses[:self.good_steps]
        what = "the loss became" if not math.isfinite(value) else "the loss has no finite gradient, and is"
        raise NotLearning(f"{what} {value:g} in step {step} of training; what {self.step} steps have learnt is kept. "
                          f"Lower learning_rate, {self.plan.learning_rate:g} now, and run again to go on from there.")

    def _with_less(self) -> None:
        """Take less memory from now on: recompute features instead of keeping them, then smaller frames. Raises RuntimeError."""
        torch_memory(self.network.device).relieve()
        height, width = self.example.clip.shape[-2:]
        if not self.checkpointing:
            self.checkpointing = True
            logging.warning("Show-1: memory is short for training; features are computed again instead of being kept.")
            return
        try:
            self.example = self.example.halved()
        except ValueError as error:
            raise RuntimeError(f"training on {width}x{height} with {self.example.clip.shape[2]} frames does not fit into memory. "
                               "Take fewer frames or a lower rank, or close other programs.") from error
        logging.warning("Show-1: memory is short for training; the frames are reduced from %dx%d to %dx%d.", width, height,
                        *reversed(self.example.clip.shape[-2:]))


def check(example: Example, plan: Plan) -> None:
    """Raises ValueError in one sentence for what cannot be learnt from."""
    if plan.loss not in LOSSES:
        raise ValueError(f"loss is {plan.loss!r}; expected one of {', '.join(LOSSES)}.")
    if example.clip.shape[2] < 2 and plan.loss not in OF_ONE_FRAME:
        raise ValueError(f"images has 1 frame and loss is {plan.loss}, which compares frames; give 2 or more, or set loss to "
                         "noise to learn how a picture looks.")
    if not bool(torch.isfinite(example.clip).all()):
        raise ValueError("images holds NaN or infinity; look at the node it comes from.")


def loss_of(network: Network, example: Example, loss: str, draws: torch.Generator) -> Tensor:
    """The loss at one timestep, flat in all that the stage learns, with one noise, both from a CPU generator."""
    example = example.of_step(draws)
    timestep = torch.randint(example.timesteps, (1,), generator=draws)
    noise = torch.randn(example.clip.shape, generator=draws)
    x = objectives.noised(example.clip, noise, timestep, network.abar)
    prediction = network.predict(x, timestep, example)
    return LOSSES[loss](prediction, noise.to(prediction), network.abar[timestep].to(prediction), draws)


@torch.no_grad()
def drawn(network: Network, adapters: Adapters, example: Example, schedule: Schedule, steps: int, seed: int = 0) -> Tensor:
    """What the example's text looks like with the adapters, by the plain sampler without guidance: (1, C, F, H, W)."""
    sigmas, table = [sigma for sigma in published_sigmas(schedule, steps).tolist() if sigma > 0], sigma_table(schedule)
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(example.shape, generator=draws)
    example = example.of_step(draws)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        timestep = torch.tensor([nearest_timestep(table, sigma)])
        return x - sigma * network.predict(x * signal_scale(sigma), timestep, example).to(x)

    with attached(network.unet, adapters):
        return dpm_solver(thresholded(denoise, schedule), noise / signal_scale(sigmas[0]), sigmas)


def copies(adapters: Adapters) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in adapters.parameters()]


@contextmanager
def checkpointed(unet: UNet) -> Iterator[None]:
    """Inside this context features within layers are not kept for the backward pass but computed again."""
    layers = [layer for block in unet.modules() if isinstance(block, Block)
              for group in (block.resnets, block.temp_convs, block.attentions, block.temp_attentions) for layer in group]
    for layer in layers:
        layer.forward = again(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def again(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A layer's forward, done again in the backward pass."""
    def call(*inputs: Any) -> Tensor:
        return checkpoint(forward, *inputs, use_reentrant=False)
    return call


def of_library(unet: UNet, abar: Tensor) -> Network:
    """A UNet as `load_unet` gives it."""
    weight: nn.Parameter = next(unet.parameters())
    return Network(unet, abar, unet.__call__, unet.dtype, weight.device)
