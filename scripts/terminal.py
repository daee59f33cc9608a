"""What the commands share at the terminal: clean failures, clean exits, progress lines."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

BAR_WIDTH = 24


class Failure(Exception):
    """Something the user can act on; its text is one sentence and is all that is shown."""


def guarded(command: Callable[[list[str]], int]) -> None:
    """Run a command as the process: a Failure becomes one line, signals leave through every `finally`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it as ignored
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, _leave)
    try:
        code = command(sys.argv[1:])
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        code = 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        code = 130
    sys.exit(code)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an ordinary exit, so that every `with` and `finally` is run."""
    raise SystemExit(128 + number)


def say(text: str) -> None:
    """One line for the user; stdout is left to results."""
    print(text, file=sys.stderr, flush=True)


def bar(done: float, total: float) -> str:
    """A percentage bar, `[######..................]  25 %`."""
    share = min(max(done / total, 0.0), 1.0) if total else 0.0
    filled = round(share * BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {share:4.0%}"


class Line:
    """A line that is rewritten in place on a terminal, and printed only when final elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = 0
        self._last = 0.0

    def show(self, text: str) -> None:
        """Replace the line; more than ten times a second is not worth the terminal's time."""
        if self._live and time.monotonic() - self._last > 0.1:
            self._write(text, "\r")

    def end(self, text: str) -> None:
        """Print the line for good."""
        self._write(text, "\n")
        self._width, self._last = 0, 0.0

    def drop(self) -> None:
        """Blank a line that was left unfinished, so that what follows starts clean."""
        if self._width:
            self._write("", "\r")
            self._width = 0

    def _write(self, text: str, after: str) -> None:
        print(text.ljust(self._width), end=after, file=sys.stderr, flush=True)
        self._width = len(text)
        self._last = time.monotonic()
