"""The log of a batch: manifest.jsonl, one line an event, on the disk before anything goes on.

It says what happened; what is done, the result folders say.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "manifest.jsonl"
PLAN, START, DONE, FAILED, LOST = "plan", "start", "done", "failed", "lost"
DEATHS = 2  # a job that was running when this many workers died is set aside


@dataclass
class State:
    """What a manifest adds up to."""

    planned: int = 0
    attempts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)  # of each job
    finished: list[dict[str, Any]] = field(default_factory=list)  # a line for each job that is done
    rows_done: set[tuple[str, int]] = field(default_factory=set)  # job id and row

    @property
    def failed(self) -> dict[str, dict[str, Any]]:
        """The jobs that failed for good, each with its last line."""
        return {job_id: line for job_id, line in self.last.items() if line["event"] == FAILED}

    def add(self, line: dict[str, Any]) -> None:
        """Take in one more line."""
        event = line["event"]
        if event == PLAN:
            self.planned = line["jobs"]
            return
        job_id = line["id"]
        if event == DONE and self.last.get(job_id, {}).get("event") != DONE:
            self.finished.append(line)
        if event == DONE:
            self.rows_done.add((job_id, line["row"]))
        self.attempts[job_id] += event == START
        self.deaths[job_id] += event == LOST and line["running"]
        self.last[job_id] = line


class Manifest:
    """The open log."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / NAME).open("ab")
        if self._file.tell() and not _ends_a_line(folder / NAME):
            self._file.write(b"\n")  # a line that a killed driver left unfinished stays alone
        self.state = State()
        for line in read(folder):
            self.state.add(line)

    def write(self, event: str, **fields: Any) -> None:
        """Append an event; it is on the disk when this returns."""
        line = {"event": event, "time": round(time.time(), 3), **fields}
        self._file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.state.add(line)

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of a folder's manifest; none where there is no manifest."""
    file = folder / NAME
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue  # cut off when the driver was killed


def state_of(folder: Path) -> State:
    """What a folder's manifest adds up to."""
    state = State()
    for line in read(folder):
        state.add(line)
    return state


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(-1, os.SEEK_END)
        return content.read(1) == b"\n"
