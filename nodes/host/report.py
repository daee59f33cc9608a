"""What a run says in the log: one line at its end, which users can paste, and warnings, each once."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management as mm
import psutil
import torch

from ...show1_core.kernels import Selection, Trials
from ...show1_core.models.whole_calls import Make, WholeCalls
from .dtypes import compute_dtype
from .on_node import on_node

GIGABYTE = 2**30
REPORT = "show1_report"  # among the transformer options: who counts the network's calls


@dataclass
class Report:
    """Counts what the network's calls of a run were like."""

    calls: int = 0
    texts: int = 1  # under which a sample was seen in one call, at most
    sides: set[int] = field(default_factory=set)  # of guidance, that were asked for: 0 the prompt, 1 what it steers away from
    shape: tuple[int, ...] = ()
    selections: dict[Trials, Selection] = field(default_factory=dict)  # of kernels, by network: a run may be split over cards
    whole: WholeCalls | None = None
    began: float = field(default_factory=time.monotonic)
    told: list[str] = field(default_factory=list)

    def count(self, shape: tuple[int, ...], texts: int, sides: Sequence[int]) -> None:
        """One call of samples (B, C, ...) under so many texts, for these sides of guidance."""
        self.calls, self.shape, self.texts = self.calls + 1, shape, max(self.texts, texts)
        self.sides.update(sides)

    def selected_by(self, trials: Trials) -> Selection:
        """A network's choices of kernels in this run; trials are the network's own."""
        if trials not in self.selections:
            self.selections[trials] = Selection(trials)
        return self.selections[trials]

    def whole_calls(self, trials: Trials, ways: Mapping[str, Make]) -> WholeCalls:
        """How the run's calls are made."""
        if self.whole is None or self.whole.trials is not trials:
            self.whole = WholeCalls(trials, ways)
        return self.whole

    def warn(self, sentence: str) -> None:
        """A warning, the first time in this run: in the log and on the node."""
        if sentence not in self.told:
            self.told.append(sentence)
            logging.warning("Show-1: %s", sentence)
            on_node(self.told)

    def write(self, model: Any) -> None:
        """The line, of a run of this MODEL."""
        dtype = str(compute_dtype(model)).removeprefix("torch.")
        size = f"{self.shape[-1]}x{self.shape[-2]}" if self.shape else "nothing"
        frames = self.shape[2] if len(self.shape) == 5 else 1
        halves = "none" if len(self.sides) < 2 else "joined" if self.texts > 1 else "split"
        said = [one.summary() for one in (*self.selections.values(), *([self.whole] if self.whole else []))]
        kernels = "; ".join([*(["blocks compiled"] if model.model.diffusion_model.compiled else []), *dict.fromkeys(said)])
        logging.info("Show-1: %s, %s, %d frames, %s; weights %s; kernels: %s; guidance %s; %d calls, %.1f s, %s.",
                     model.model.show1.stage.title, size, frames, dtype, where(model), kernels or "none", halves, self.calls,
                     time.monotonic() - self.began, peak(model.load_device))


def where(model: Any) -> str:
    """How much of a MODEL's weights lies on the device that computes."""
    size, loaded = model.model_size(), model.loaded_size()
    if str(model.load_device) == "cpu" or loaded >= size:
        return f"on {model.load_device}"
    return f"{loaded / max(size, 1):.0%} on {model.load_device}, the rest streamed"


def peak(device: torch.device) -> str:
    """The most memory PyTorch has had there since it began, or what the process has now."""
    if mm.is_device_cuda(device):
        return f"peak memory {torch.cuda.max_memory_allocated(device) / GIGABYTE:.1f} GB"
    return f"process memory {psutil.Process().memory_info().rss / GIGABYTE:.1f} GB"
