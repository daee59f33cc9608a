"""What a batch has done so far, from its folder alone: `batch.py --output DIR --status`."""

from __future__ import annotations

from pathlib import Path

from terminal import Failure

from . import manifest
from .manifest import START, State
from .results import is_locked
from .tally import RECENT, duration, rate


def table(folder: Path) -> str:
    """Counts, the time left, what runs, and every failed row with its error. Raises Failure for another folder."""
    if not (folder / manifest.NAME).exists():
        raise Failure(f"{folder} holds no batch: there is no {manifest.NAME} in it.")
    state, is_running = manifest.state_of(folder), is_locked(folder)
    running = [line for line in state.last.values() if line["event"] == START] if is_running else []
    left = max(0, state.planned - len(state.finished) - len(state.failed))
    lines = [f"done      {len(state.finished)}", f"running   {len(running)}", f"failed    {len(state.failed)}",
             f"to do     {left - len(running)}", f"in all    {state.planned}",
             f"time left {_time_left(state, left) if is_running else '-'}"]
    lines += [f"running   row {line['row']}, {line['worker']}, attempt {line['attempt']}, {line['id']}" for line in running]
    lines += [f"failed    row {line['row']}, {line['id']}: {line['error']}" for line in state.failed.values()]
    if not is_running and (left or state.failed):
        also = ", and with --retry the failed rows as well" if state.failed else ""
        lines.append(f"no batch is at work here; the same command goes on with what is left{also}")
    return "\n".join(lines)


def _time_left(state: State, left: int) -> str:
    """At the rate of the newest results."""
    an_hour = rate([line["time"] for line in state.finished[-RECENT:]])
    return duration(left / an_hour * 3600) if an_hour else "unknown"
