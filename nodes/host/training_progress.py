"""How far a training is, told on the node and in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from .on_node import on_node

RECENT = 20  # steps whose mean loss is told: single ones jump
SHOW_SECONDS = 1.0  # between two sentences on the node


class Told:
    """How far a training is: on the node about once a second, under what it warns of, and ten times in the log."""

    def __init__(self, first: int, last: int, warnings: Sequence[str] = ()) -> None:
        self.first, self.last, self.warnings = first, last, warnings
        self.began, self.shown = time.monotonic(), 0.0

    def __call__(self, losses: Sequence[float]) -> None:
        """After a step, with the loss of every step so far."""
        step, now = len(losses), time.monotonic()
        seconds = (now - self.began) / (step - self.first) * (self.last - step)
        recent = losses[-RECENT:]
        sentence = f"step {step} of {self.last}, loss {sum(recent) / len(recent):.4f}, {duration(seconds)} left"
        if now - self.shown > SHOW_SECONDS or step == self.last:
            self.shown = now
            on_node([*self.warnings, sentence])
        if step % max(self.last // 10, 1) == 0:
            logging.info("Show-1: training, %s.", sentence)


def duration(seconds: float) -> str:
    """42 s, 3 min 20 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
