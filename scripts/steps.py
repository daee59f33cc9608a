"""Steps that leave a stamp: done once, and again when what they were made from changes."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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


def pip(python: Path, attempt: Attempt, arguments: list[str]) -> None:
    """Run pip; what it says is shown while it lasts, and its last words are the reason when it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    said: list[str] = []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    with process:
        for text in process.stdout or ():
            said.append(text)
            attempt.report(text.strip()[:60])
    if process.returncode:
        say("".join(said[-20:]))
        raise Failure(
            f"pip could not {arguments[0]} {arguments[-1]} ({last_line(''.join(said))}); "
            "check the connection and the free space and run the command again: it goes on where it stopped."
        )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one set-up at a time; a second one waits and then finds the work done."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file lets go of it


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
