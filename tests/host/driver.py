"""Queues prompts on a server and gathers what it says about them."""

from __future__ import annotations

import asyncio
import copy
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import psutil
from workflows.client import Client
from workflows.events import ENDS, Event, failure

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

    def run_queued(self, prompts: Sequence[Json]) -> list[Outcome]:
        """Put all prompts into the server's queue, then see each of them to its end."""
        return asyncio.run(self._run_queued(prompts))

    def object_info(self) -> Json:
        """Every node type of the server."""

        async def ask() -> Json:
            async with Client(self.url) as client:
                return await client.object_info()

        return asyncio.run(ask())

    def interrupt(self) -> None:
        """Cancel what is running, as the user's button does."""
        request = urllib.request.Request(f"{self.url}/interrupt", data=b"{}", method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request).close()

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
                self.interrupt()

        async with Client(self.url) as client:
            prompt_id = await client.queue(prompt)
            await client.follow(prompt_id, on_event)
            outcome.files = await client.outputs(prompt_id)
        return outcome

    async def _run_queued(self, prompts: Sequence[Json]) -> list[Outcome]:
        async with Client(self.url) as client:
            queued = {await client.queue(prompt): Outcome() for prompt in prompts}
            for prompt_id, outcome in queued.items():
                await client.follow(prompt_id, outcome.events.append)
                outcome.files = await client.outputs(prompt_id)
        return list(queued.values())


# What each stage is fed in place of the stages before it: frames, width, height.
FED = {
    "5": {},
    "7": {"images": (8, 16, 8)},
    "9": {"image": (1, 16, 8)},
    "11": {"images": (29, 16, 8), "first_frame": (1, 64, 32)},
    "17": {"images": (29, 64, 32)},
}


def alone(cascade: Json, stage: str) -> Json:
    """One stage of the cascade as a workflow of its own, on plain pictures."""
    prompt = {stage: copy.deepcopy(cascade[stage]), "save": saving(stage)}
    inputs = prompt[stage]["inputs"]
    for name, (frames, width, height) in FED[stage].items():
        prompt[name] = {
            "class_type": "EmptyImage",
            "inputs": {"width": width, "height": height, "batch_size": frames, "color": 0x3060C0},
        }
        inputs[name] = [name, 0]
    inputs.pop("fps", None)
    _add_sources(prompt, cascade)
    return prompt


def saving(node_id: str) -> Json:
    """A node that saves another's frames without loss."""
    return {"class_type": "SaveImage", "inputs": {"images": [node_id, 0], "filename_prefix": "frames"}}


def failure_of(outcome: Outcome) -> str:
    """What went wrong, for an assertion to show."""
    return failure(outcome.end) if outcome.end.type == "execution_error" else outcome.end.type


def _add_sources(prompt: Json, cascade: Json) -> None:
    """Take along the nodes that those of the prompt are linked to."""
    pending = list(prompt.values())
    while pending:
        for value in pending.pop()["inputs"].values():
            if isinstance(value, list) and value[0] not in prompt:
                prompt[value[0]] = copy.deepcopy(cascade[value[0]])
                pending.append(prompt[value[0]])


def processes_naming(text: str) -> list[list[str]]:
    """The command lines of the running processes that contain a text."""
    found = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [line for line in found if any(text in argument for argument in line)]
