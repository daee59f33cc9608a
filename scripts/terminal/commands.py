"""How every command runs: clean failures, clean exits, results on stdout and all other words on stderr."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from types import FrameType


class Failure(Exception):
    """Something the user can act on; its text is one sentence and is all that is shown."""


def guarded(command: Callable[[list[str]], int]) -> None:
    """Run a command as the process: a Failure becomes one line, signals leave through every `finally`."""
    _print_any_letter()
    _leave_on_signals()
    try:
        code = command(sys.argv[1:])
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
        code = 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: a late Ctrl-C must not change how it ended
    sys.exit(code)


def say(text: str) -> None:
    """One line for the user; stdout is left to results."""
    print(text, file=sys.stderr, flush=True)


def _print_any_letter() -> None:
    """A path may hold letters that a pipe's encoding lacks (on Windows it is no UTF-8); they are escaped then."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_on_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it as ignored
    signal.signal(signal.SIGTERM, _leave)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, _leave)
    else:
        signal.signal(signal.SIGHUP, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an ordinary exit, so that every `with` and `finally` is run."""
    raise SystemExit(128 + number)
