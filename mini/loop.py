"""The training loop: steps, averaged weights, and checkpoints that resume as if nothing had happened."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Plan:
    """How one stage is trained: AdamW and Muon at one learning rate.

    The learning rate rises over `warmup` steps, stays, and falls linearly to zero over the last `decay` part. A batch
    is computed in `shards`, each in a thread of its own: on a busy machine threads that never wait for each other
    within a step get much further than threads that share every layer.
    """

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.999
    seed: int = 0
    shards: int = 2


class Task(Protocol):
    """What is trained: a module that draws its own batch and returns the loss of it."""

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor: ...


class Progress(Protocol):
    """Told of every step."""

    def __call__(self, step: int, loss: float) -> None: ...


def learning_rate(plan: Plan, step: int) -> float:
    """Warm up, hold, fall: the rate of step 0..steps-1."""
    rise = min(1.0, (step + 1) / max(plan.warmup, 1))
    fall = min(1.0, (plan.steps - step) / max(plan.decay * plan.steps, 1e-9))
    return plan.learning_rate * rise * fall


def average_weight(plan: Plan, step: int) -> float:
    """How much of the running average is kept: less at first, so that the random start is forgotten."""
    return min(plan.average, (1 + step) / (10 + step))


def streams(plan: Plan, step: int, shard: int) -> tuple[np.random.Generator, torch.Generator]:
    """Random streams for data and noise of one step, functions of seed, step and shard alone: resuming is exact."""
    data = np.random.default_rng((plan.seed, step, shard))
    return data, torch.Generator().manual_seed(int(data.integers(2**62)))


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon trains it: the weight of a layer inside the network.

    The first and the last layer, norms, biases and word vectors are AdamW's. Most words occur in few captions or in none.
    """
    outer = ("conv_in.weight", "conv_out.weight", "embedding.weight")
    return parameter.ndim > 1 and parameter.shape[0] < 4096 and not name.endswith(outer)


def optimizers(parameters: Mapping[str, Tensor], plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices (Jordan et al. 2024), AdamW for all else; either may have nothing to do.

    On the image stage, 140 steps from one state of loss 0.083: 0.0701, against 0.0740 with AdamW for everything.
    Muon knows matrices only: it gets each weight as (outputs, everything else), a view that is the same memory, so its
    gradients have to be handed over (`Trainer._hand_over`).
    """
    matrices = [nn.Parameter(p.data.flatten(1)) for name, p in parameters.items() if is_matrix(name, p)]
    others = [p for name, p in parameters.items() if not is_matrix(name, p)]
    made: list[torch.optim.Optimizer] = []
    if matrices:
        made.append(torch.optim.Muon(
            matrices, lr=plan.learning_rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"))
    if others:
        made.append(torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.0))
    return made


class Trainer:
    """Trains the parameters of `task` that require gradients; keeps everything to resume in `folder`."""

    def __init__(self, task: nn.Module, plan: Plan, folder: Path) -> None:
        self.task: Any = task  # a Module and a Task
        self.plan, self.folder = plan, folder
        self.parameters = {name: p for name, p in task.named_parameters() if p.requires_grad}
        self.optimizers = optimizers(self.parameters, plan)
        self.average = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.workers = ThreadPoolExecutor(plan.shards)
        self.step, self.seconds = 0, 0.0
        self.recent = math.nan

    @property
    def checkpoint(self) -> Path:
        """The file that holds the newest state."""
        return self.folder / "state.pt"

    def save(self) -> None:
        """Write the state; a kill while writing leaves the one before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step, "seconds": self.seconds, "recent": self.recent, "plan": asdict(self.plan),
            "weights": {name: p.detach() for name, p in self.parameters.items()},
            "average": self.average, "optimizers": [each.state_dict() for each in self.optimizers],
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)

    @torch.no_grad()
    def resume(self) -> bool:
        """Continue from the checkpoint if there is one."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, map_location=next(iter(self.parameters.values())).device, weights_only=True)
        for name, parameter in self.parameters.items():
            parameter.copy_(state["weights"][name])
        self.average = state["average"]
        for each, kept in zip(self.optimizers, state["optimizers"], strict=True):
            each.load_state_dict(kept)
        self.step, self.seconds, self.recent = state["step"], state["seconds"], state["recent"]
        return True

    def advance(self) -> float:
        """One step; returns its loss."""
        shards = list(self.workers.map(self._shard, range(self.plan.shards)))
        for parameter, *gradients in zip(self.parameters.values(), *(gradients for _, gradients in shards), strict=True):
            parameter.grad = torch.stack(gradients).mean(dim=0) if len(gradients) > 1 else gradients[0]
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.plan.clip)
        self._hand_over()
        for each in self.optimizers:
            for group in each.param_groups:
                group["lr"] = learning_rate(self.plan, self.step)
            each.step()
        keep = average_weight(self.plan, self.step)
        averages = [self.average[name] for name in self.parameters]
        torch._foreach_lerp_(averages, [p.detach() for p in self.parameters.values()], 1 - keep)
        self.step += 1
        return sum(loss for loss, _ in shards) / len(shards)

    def _hand_over(self) -> None:
        """Give each matrix of Muon the gradient of the weight whose memory it shares."""
        weights = [p for name, p in self.parameters.items() if is_matrix(name, p)]
        if weights:
            for matrix, weight in zip(self.optimizers[0].param_groups[0]["params"], weights, strict=True):
                matrix.grad = None if weight.grad is None else weight.grad.flatten(1)

    def _shard(self, shard: int) -> tuple[float, tuple[Tensor, ...]]:
        """Loss and gradients of one part of the batch."""
        data, noise = streams(self.plan, self.step, shard)
        loss = self.task.loss(self.plan.batch // self.plan.shards, data, noise)
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True, materialize_grads=True)
        return float(loss.detach()), gradients

    def run(self, until: int | None = None, save_every: float = 120.0) -> None:
        """Train to step `until` (the plan's end by default), saving every `save_every` seconds and at the end."""
        end = self.plan.steps if until is None else min(until, self.plan.steps)
        began, saved, told = time.monotonic(), time.monotonic(), 0.0
        before = self.seconds
        first = self.step
        while self.step < end:
            loss = self.advance()
            self.recent = loss if math.isnan(self.recent) else 0.98 * self.recent + 0.02 * loss
            now = time.monotonic()
            self.seconds = before + now - began
            if now - told > 10:
                told = now
                self._tell((now - began) / (self.step - first))
            if now - saved > save_every:
                saved = now
                self.save()
        self.save()

    def _tell(self, seconds_a_step: float) -> None:
        """Print a line of progress and add it to the stage's log."""
        left = seconds_a_step * (self.plan.steps - self.step) / 60
        print(
            f"step {self.step}/{self.plan.steps}  loss {self.recent:.5f}  {seconds_a_step:.2f} s a step  {left:.0f} min left",
            flush=True,
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": self.step, "loss": self.recent, "seconds": round(self.seconds, 1)}) + "\n")
