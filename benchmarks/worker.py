"""A process that takes a step for every line it is told, so that steps of two programs can be taken in turns.

What is imported here must come with Python: one side may run in a Python that has nothing of this repository.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

ANSWER = "answer: "  # lines of a worker that begin otherwise are what its libraries say


class Worker:
    """A command that calls `serve`, begun and ready. Raises RuntimeError with its last words where it has ended."""

    def __init__(self, command: Sequence[str], told: str = "") -> None:
        """`told` is a line for the command to read before it serves; none where empty."""
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        if told:
            self._tell(told)
        self._answer()

    def step(self) -> str:
        """What a step answers."""
        self._tell("step")
        return self._answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; why is in what it said
            print(line, file=self.process.stdin, flush=True)

    def _answer(self) -> str:
        assert self.process.stdout is not None
        words = ""
        for line in self.process.stdout:
            if line.startswith(ANSWER):
                return line.removeprefix(ANSWER).strip()
            words += line
        raise RuntimeError(words[-1500:])


def serve(step: Callable[[], object]) -> None:
    """In the process: say that it is ready, then take a step for every line and answer what it gives."""
    print(ANSWER, flush=True)
    for _ in sys.stdin:
        print(f"{ANSWER}{step()}", flush=True)
