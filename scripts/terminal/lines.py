"""Progress at the terminal: a bar, and a line that is rewritten in place."""

from __future__ import annotations

import sys
import time

BAR_WIDTH = 24


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
