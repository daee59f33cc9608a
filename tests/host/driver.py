"""Queues prompts on a server and gathers what it says about them."""

from __future__ import annotations

import asyncio
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import psutil
from events import ENDS, Event
from host_client import Client

Json = dict[str, Any]


@dataclass
class Outcome:
    """Everything the server sent about one prompt, and the files it wrote."""

    events: list[Event] = field(default_factory=list)
    files: list[PurePosixPath] = field(default_factory=list)
    interrupted_after: float = 0.0

    @property
    def end(self) -> Event:
        return next(event for event in reversed(self.events) if event.type in ENDS)

    def nodes_run(self) -> set[str]:
        """The nodes that were executed rather than taken from the cache."""
        events = [event for event in self.events if event.type == "executing" and event.data["node"]]
        return {event.data["node"] for event in events}

    def steps(self, node_id: str) -> list[tuple[float, float]]:
        """The (value, maximum) pairs that the node's progress went through."""
        events = [event for event in self.events if event.type == "progress_state"]
        states = [event.data["nodes"][node_id] for event in events if node_id in event.data["nodes"]]
        return list(dict.fromkeys((state["value"], state["max"]) for state in states))


class Driver:
    """A client of one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, prompt: Json, interrupt_when: Callable[[Event], bool] = lambda event: False) -> Outcome:
        """Run a prompt to whatever end; the first event that `interrupt_when` likes cancels it."""
        return asyncio.run(self._run(prompt, interrupt_when))

    def object_info(self) -> Json:
        """Every node type of the server."""

        async def ask() -> Json:
            async with Client(self.url) as client:
                return await client.object_info()

        return asyncio.run(ask())

    def fetch(self, file: PurePosixPath) -> bytes:
        """A file of the output folder, over HTTP."""
        query = urllib.parse.urlencode(
            {"filename": file.name, "subfolder": str(file.parent), "type": "output"}
        )
        with urllib.request.urlopen(f"{self.url}/view?{query}") as answer:
            return answer.read()

    async def _run(self, prompt: Json, interrupt_when: Callable[[Event], bool]) -> Outcome:
        outcome = Outcome()
        asked: list[float] = []

        def on_event(event: Event) -> None:
            outcome.events.append(event)
            if asked and event.type in ENDS:
                outcome.interrupted_after = time.monotonic() - asked[0]
            if not asked and interrupt_when(event):
                asked.append(time.monotonic())
                request = urllib.request.Request(f"{self.url}/interrupt", data=b"{}", method="POST")
                request.add_header("Content-Type", "application/json")
                urllib.request.urlopen(request).close()

        async with Client(self.url) as client:
            prompt_id = await client.queue(prompt)
            await client.follow(prompt_id, on_event)
            outcome.files = await client.outputs(prompt_id)
        return outcome


def processes_naming(text: str) -> list[list[str]]:
    """The command lines of the running processes that contain a text."""
    found = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in found if any(text in argument for argument in line)]
