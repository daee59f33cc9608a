"""A batch at the terminal: a table that renews itself where there is one and rich is installed, else a line a result."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any, Protocol

from terminal import say
from workflows.events import Event

from .tally import Tally


class Display(Protocol):
    """What the driver tells."""

    tally: Tally

    def note(self, text: str) -> None:
        """Something that happened."""
        ...

    def started(self, worker: str, title: str) -> None:
        """A worker was given a job."""
        ...

    def event(self, worker: str, event: Event) -> None:
        """A worker's host said something about its job."""
        ...

    def ended(self, worker: str, title: str, how: str) -> None:
        """A worker no longer has a job; `how` is empty when it is neither done nor failed."""
        ...

    def close(self) -> None:
        """Leave the terminal to others."""
        ...


class Plain:
    """A line a result, for files and pipes."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally

    def note(self, text: str) -> None:
        say(text)

    def started(self, worker: str, title: str) -> None:
        self.tally.doing.setdefault(worker, []).append(title)

    def event(self, worker: str, event: Event) -> None:
        for state in event.data.get("nodes", {}).values() if event.type == "progress_state" else ():
            if state["state"] == "running":
                self.tally.steps[worker] = f"node {state['node_id']}, {state['value']:g}/{state['max']:g}"

    def ended(self, worker: str, title: str, how: str) -> None:
        self.tally.doing[worker].remove(title)
        self.tally.steps.pop(worker, None)
        if how:
            self.tally.made[worker] = self.tally.made.get(worker, 0) + 1
            self.note(f"{worker}: {title}: {how}  [{self.tally.line()}]")

    def close(self) -> None:
        say(self.tally.line())


class Live(Plain):
    """A table of the workers under the notes; needs rich."""

    def __init__(self, tally: Tally) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        super().__init__(tally)
        self._screen = Screen(console=Console(stderr=True), get_renderable=self._table, refresh_per_second=4)
        self._screen.start()

    def note(self, text: str) -> None:
        self._screen.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._screen.stop()

    def _table(self) -> Any:
        from rich.table import Table

        table = Table("worker", "ended", "now", "at", caption=self.tally.line(), expand=True)
        for worker, titles in self.tally.doing.items():
            made = str(self.tally.made.get(worker, 0))
            table.add_row(worker, made, titles[0] if titles else "-", self.tally.steps.get(worker, ""))
        return table


def display(tally: Tally) -> Display:
    """The one that fits where stderr goes."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich"):
        return Live(tally)
    return Plain(tally)
