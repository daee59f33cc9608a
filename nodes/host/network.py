"""Our network under the host's calling convention: as few calls a step as memory allows, and no NaN or infinity."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import comfy.model_management as mm
import torch
from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers
from einops import rearrange
from torch import Tensor, nn

from ...show1_core import memory
from ...show1_core.kernels import Trials, chosen_by, use_backend
from ...show1_core.kernels.requirements import weights_looked_at
from ...show1_core.models.compile import many_shapes
from ...show1_core.models.finite import check_finite
from ...show1_core.models.unet import UNet
from ...show1_core.models.whole_calls import Make
from .idle import CONTROL, EASY, VARIANCE_KEPT, idle_options, spoilt_by_cache
from .patches import patches_of
from .report import REPORT, Report
from .run_memory import RunMemory
from .text_over_time import Placed, seen_texts
from .weights import Weights, state_of, what_happens_to, with_weights

VARIANCE = "show1_variance"  # among the transformer options: who wants the learned variance
SPLIT = "multigpu_thread_device"  # there, too: which card computes this half of guidance, beside others in other threads


class HostUNet(UNet):
    """Our UNet under the host's calling convention; learned variance goes to whoever asked for it."""

    backend = "auto"  # which kernels may serve
    compiled = False  # whether blocks are
    ways: Mapping[str, Make] = MappingProxyType({})  # in which whole calls may be made, beside plainly

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.trials = Trials()  # how kernels did on this machine

    @cached_property
    def weighted(self) -> tuple[nn.Module, ...]:
        """The layers with weights, looked for once: a call looks at each of them."""
        return with_weights(self)

    def to(self, *args: Any, memory_format: torch.memory_format | None = None, **options: Any) -> HostUNet:
        """As usual, but for the host's `--force-channels-last`: that layout is for pictures, and some weights are of clips."""
        return super().to(*args, **options)

    @property
    def in_channels(self) -> int:
        """How many channels guidance acts on: those of a sample, as nodes that ask for this mean it."""
        return self.config.sample_channels

    @torch.compiler.disable  # it looks at numbers, and may take several attempts; what is compiled is the blocks inside
    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, transformer_options: dict[str, Any],
                control: Any = None, **conditions: Any) -> Tensor:
        """A call as the host makes it, inside whatever nodes have put around the network, such as a cache.

        Where the learned variance is wanted nothing may stand in for a call, so nothing is around it.
        """
        report = transformer_options.get(REPORT) or Report()
        for sentence in idle_options(transformer_options):
            report.warn(sentence)
        if control is not None:
            report.warn(CONTROL)
        wrappers = get_all_wrappers(WrappersMP.DIFFUSION_MODEL, transformer_options)
        if wrappers and VARIANCE in transformer_options:
            report.warn(VARIANCE_KEPT)
            wrappers = []
        elif spoilt_by_cache(transformer_options):
            report.warn(EASY)
        around = WrapperExecutor.new_class_executor(self._call, self, wrappers)
        return around.execute(x, timesteps, context, None, control, transformer_options, **conditions)

    def _call(self, x: Tensor, timesteps: Tensor, context: Tensor, _y: None, _control: Any, transformer_options: dict[str, Any],
              noise_level: Tensor | None = None, run_memory: RunMemory | None = None, placed: tuple[Placed, ...] = (),
              **_: Any) -> Tensor:
        halves = len(transformer_options["cond_or_uncond"])
        patches = patches_of(self, x.shape, transformer_options)
        pictures = self.config.temporal and x.ndim == 4
        if pictures:  # a batch of them is one clip for each half of guidance
            frames = len(x) // halves
            x = rearrange(x, "(halves f) c h w -> halves c f h w", halves=halves)
            timesteps, context = timesteps[::frames], context[::frames]
        variance, channels = transformer_options.get(VARIANCE), self.config.sample_channels
        hooked, run_memory, report = run_memory is None, run_memory or RunMemory(), transformer_options.get(REPORT) or Report()
        selection, state = report.selected_by(self.trials), state_of(self.weighted)
        selection.renew(state)
        shapes = many_shapes() if self.compiled else nullcontext()
        with use_backend(self.backend), weights_looked_at(what_happens_to), chosen_by(selection), shapes:
            sample, timestep, level = one_half(halves, x, timesteps, noise_level)
            unet = plain = super().forward if patches is None else partial(super().forward, patches=patches)
            over_time = any(one.text is not None for one in placed)
            if self.ways:
                found = obstacle(x.is_cuda, hooked, patches is not None or over_time, state, transformer_options)
                unet = report.whole_calls(self.trials, self.ways).of(unet, state, found)
            if over_time:
                clip, window = (len(x) // halves, x.shape[2] if x.ndim == 5 else 1), transformer_options.get("context_window")
                texts, seen = seen_texts(placed, context, clip, window)
                text = run_memory.prepared(texts, self.prepare_each).under(seen)
            else:
                text = run_memory.prepared(context, self.prepare)
            call = memory.Call(unet, sample, timestep, text, level, channels if variance is None else self.config.out_channels,
                               self.config.takes_windows)
            device = memory.Device(lambda: mm.get_free_memory(x.device), mm.soft_empty_cache)
            report.count(tuple(sample.shape), call.texts, transformer_options["cond_or_uncond"])
            out = run_memory.fallback.compute(call, memory.decide(self, call, device), device)
            again = replace(call, unet=plain)  # in a graph no layer can be looked at
            check_finite(out, self, lambda: run_memory.fallback.compute(again, memory.decide(self, again, device), device))
        if variance is not None:
            variance.store(out[:, channels:], transformer_options["cond_or_uncond"])
        out = out[:, :channels]
        return rearrange(out, "halves c f h w -> (halves f) c h w") if pictures else out


def obstacle(on_gpu: bool, hooked: bool, patched: bool, state: Weights, options: dict[str, Any]) -> str | None:
    """What keeps calls plain, if anything does: a graph holds on to weights, and what is traced sees no patches."""
    if not on_gpu:
        return "the tensors are not on a GPU"
    if hooked:  # such texts have no memory of a run (model.py): each call makes them anew, and a whole call would hold on to them
        return "hooks change the network from call to call"
    if patched:
        return "patches or texts over time change the network from call to call"
    if SPLIT in options:
        return "guidance is split over cards"
    return next((f"weights {reason}" for _, reason in state if reason is not None), None)


def one_half(halves: int, *inputs: Tensor | None) -> tuple[Any, ...]:
    """Inputs (halves * B, ...) as one of their halves (B, ...) where these are the same, otherwise as they are.

    Guidance asks about one clip under several texts; what comes before the text is the same for each.
    """
    rows = [value.float().reshape(len(value), -1) for value in inputs if value is not None]
    first, *others = torch.cat(rows, dim=1).chunk(halves)
    if not others or not all(torch.equal(first, other) for other in others):
        return inputs
    return tuple(value if value is None else value[:len(first)] for value in inputs)
