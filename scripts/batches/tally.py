"""How far a batch is: counted, not shown."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

RECENT = 200  # results that the rate is taken from


@dataclass
class Tally:
    """The counts that a display shows."""

    total: int
    done: int
    failed: int
    doing: dict[str, list[str]] = field(default_factory=dict)  # by worker, what is under way there
    steps: dict[str, str] = field(default_factory=dict)  # by worker, the node and step it is at
    made: dict[str, int] = field(default_factory=dict)  # by worker
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))  # seconds on any clock

    @property
    def an_hour(self) -> float:
        """Results an hour, from the newest of them."""
        return rate(self.ends)

    @property
    def left(self) -> str:
        """The time that the rest takes at this rate."""
        return duration((self.total - self.done - self.failed) / self.an_hour * 3600) if self.an_hour else "unknown"

    def line(self) -> str:
        """All of it in one line."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total}{failed}, {self.an_hour:.0f} an hour, left: {self.left}"


def rate(ends: Sequence[float]) -> float:
    """Results an hour, from the times at which the newest ended; 0 while that cannot be said."""
    between = ends[-1] - ends[0] if len(ends) > 1 else 0
    return (len(ends) - 1) / between * 3600 if between > 0 else 0.0


def duration(seconds: float) -> str:
    """`3 h 05 min`, `4 min`, `30 s`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
