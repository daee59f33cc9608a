"""What a batch has done so far, from its folder alone: `batch.py --output DIR --status`."""

from __future__ import annotations

from pathlib import Path

from terminal import Failure

from . import manifest
from .manifest import LOST, START, State
from .results import is_locked
from .tally import RECENT, duration, rate


def table(folder: Path) -> str:
    """Counts, the time left, what runs, and every failed row with its error. Raises Failure for another folder."""
    if not (folder / manifest.NAME).exists():
        raise Failure(f"{folder} holds no batch: there is no {manifest.NAME} in it.")
    state, is_running = manifest.state_of(folder), is_locked(folder)
    running = [line for line in state.last.values() if line["event"] == START] if is_running else []
    left = max(0, state.planned - len(state.finished) - len(state.failed))
    rows = [("done", len(state.finished)), ("running", len(running)), ("failed", len(state.failed)),
            ("to do", left - len(running)), ("in all", state.planned), ("time left", _time_left(state, left) if is_running else "-")]
    lines = [f"{name:10}{value}" for name, value in rows]
    lines += [f"running   row {line['row']}, {line['worker']}, attempt {line['attempt']}, {line['id']}" for line in running]
    lines += [f"failed    row {line['row']}, {line['id']}: {line['error']}" for line in state.failed.values()]
    if not is_running and left:
        lines.append("no batch is at work here; the same command goes on with it" + (", with --retry also failed rows" * bool(state.failed)))
    lost = sum(line["event"] == LOST for line in state.last.values())
    return "\n".join(lines + ([f"{lost} jobs lost their worker and wait for another"] if lost and is_running else []))


def _time_left(state: State, left: int) -> str:
    """At the rate of the newest results."""
    an_hour = rate([line["time"] for line in state.finished[-RECENT:]])
    return duration(left / an_hour * 3600) if an_hour else "unknown"
