"""Processes of our own on every platform: set apart from the terminal, replaced, and ended with all they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import psutil

GRACE = 3.0  # seconds a process has to end by itself


@dataclass(frozen=True)
class Apart:
    """Arguments of Popen that keep the terminal's Ctrl-C from a process: it is ours to end."""

    new_session: bool
    flags: int


def apart() -> Apart:
    """Those of this platform."""
    if sys.platform == "win32":
        return Apart(new_session=False, flags=subprocess.CREATE_NEW_PROCESS_GROUP)
    return Apart(new_session=True, flags=0)


def end_tree(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Ask a process that was set apart to end, then make it, and take along whatever it started."""
    tree = started_by(process.pid)
    if process.poll() is None:
        _ask(process)
    deadline = time.monotonic() + grace
    while process.poll() is None and time.monotonic() < deadline:
        tree |= started_by(process.pid)
        time.sleep(0.05)
    if process.poll() is None:
        tree |= started_by(process.pid)
        process.kill()
    process.wait()
    kill(tree)
    if process.stdin:
        process.stdin.close()


def started_by(pid: int) -> set[psutil.Process]:
    """The processes below this one; none when it is gone."""
    import psutil

    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes at once; psutil knows by their time of start that a number was not given to another since."""
    import psutil

    gone = list(processes)
    for each in gone:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue  # it ended by itself
    psutil.wait_procs(gone, timeout=GRACE)


def become(command: list[str], variables: dict[str, str]) -> NoReturn:
    """Replace this process by another command, so that signals reach it and none is left behind."""
    sys.stdout.flush()
    if sys.platform == "win32":  # exec on Windows gives the terminal back before the new process ends
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the other one too, and this one waits for its end
        sys.exit(subprocess.call(command, env=variables))
    os.execve(command[0], command, variables)


def _ask(process: subprocess.Popen[bytes]) -> None:
    """The way of a host to end in good order; Windows has no Ctrl-C for a group of its own, but Ctrl-Break."""
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
