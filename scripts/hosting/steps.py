"""Steps that leave a stamp: done once, and again when what they were made from changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from terminal import Failure, Line, say


@dataclass(frozen=True)
class Attempt:
    """What a step is told when it is run."""

    broken: bool  # an earlier attempt was killed half-way
    report: Callable[[str], None]


Action = Callable[[Attempt], None]


@dataclass(frozen=True)
class Step:
    """One step of the set-up: its stamp holds the fingerprint of what it was made from."""

    label: str
    stamp: Path
    inputs: tuple[str, ...]
    action: Action
    about: str = ""  # what it takes of disk and network, and where from

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\0".join(self.inputs).encode()).hexdigest()

    def is_done(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == self.fingerprint

    def run(self, report: Callable[[str], None]) -> None:
        """Do it; no stamp while it is under way, so a killed step is done again."""
        begun = self.stamp.with_suffix(".begun")
        attempt = Attempt(begun.is_file(), report)
        self.stamp.unlink(missing_ok=True)
        if self.stamp.parent.is_dir():
            begun.touch()
        try:
            self.action(attempt)
        except Failure:  # it gave up by itself, in good order
            begun.unlink(missing_ok=True)
            raise
        self.stamp.parent.mkdir(parents=True, exist_ok=True)
        self.stamp.write_text(self.fingerprint, encoding="utf-8")
        begun.unlink(missing_ok=True)


def announce(steps: list[Step], home: Path) -> None:
    """Say what will be done before anything is."""
    say(f"To be set up in {home}, which can be deleted at any time; nothing is installed elsewhere:")
    for step in steps:
        if not step.is_done():
            say(f"  {step.label}: {step.about}" if step.about else f"  {step.label}")


def run_steps(steps: list[Step]) -> None:
    """Run what is not done, one line a step."""
    line = Line()
    for number, step in enumerate(steps, 1):
        if step.is_done():
            continue
        label = f"[{number}/{len(steps)}] {step.label}"
        start = time.monotonic()

        def report(text: str, label: str = label, start: float = start) -> None:
            line.show(f"{label}: {time.monotonic() - start:.0f} s  {text}")

        report("")
        try:
            step.run(report)
        finally:
            line.drop()
        line.end(f"{label}: {time.monotonic() - start:.0f} s")
