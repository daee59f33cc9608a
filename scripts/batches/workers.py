"""What the driver asks of an engine: workers that open, run tasks side by side, and close."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from workflows.events import Event
from workflows.workflow import Json

from .columns import Upload

Watch = Callable[[Event], None]


class Unreachable(Exception):
    """A worker could not be opened; the text says why."""


@dataclass(frozen=True)
class Task:
    """A job as it is handed to a worker; with `prompt_id` the server has it already."""

    job_id: str
    graph: Json
    uploads: tuple[Upload, ...]
    label: Json  # embedded in the result files, beside the graph
    prompt_id: str | None = None


@dataclass(frozen=True)
class Done:
    """Its files are in the folder."""

    seconds: float


@dataclass(frozen=True)
class Failed:
    """A node or the server refused the job; another try would end alike."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """The worker went away; `running` if it was at work on this very job."""

    running: bool
    reason: str


@dataclass(frozen=True)
class Withdrawn:
    """Taken back before it began."""


Outcome = Done | Failed | Lost | Withdrawn


class Worker(Protocol):
    """A place that runs tasks, several at once in its own order."""

    name: str
    patience: int | None  # openings that may fail in a row; None for any number

    async def open(self) -> Json:
        """Be ready, and say which nodes there are (object_info). Raises Unreachable."""
        ...

    async def held(self) -> dict[str, str]:
        """Jobs that an earlier batch left with this worker: job id and prompt id. Raises Unreachable."""
        ...

    async def drop(self, prompt_ids: list[str]) -> None:
        """Stop some of these. Raises Unreachable."""
        ...

    async def run(self, task: Task, folder: Path, watch: Watch) -> Outcome:
        """Run a task and put its files into the folder. Raises OSError when these cannot be written."""
        ...

    async def withdraw(self) -> None:
        """Take back every task that has not begun."""
        ...

    async def abort(self) -> None:
        """Stop everything at once."""
        ...

    async def close(self) -> None:
        """Leave it; what was started for it ends."""
        ...
