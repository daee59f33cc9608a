"""Runs one workflow in a ComfyUI started for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from hosting.hosts import Host
from hosting.server import Launch, Server
from terminal import Failure, say

from . import workflow as workflows
from .client import Client, Gone
from .events import Event, failure
from .progress import Progress
from .workflow import Json, Setting


@dataclass(frozen=True)
class Job:
    """A workflow, what is to be set in it, and where its models and results are."""

    workflow: Json
    output: Path
    settings: list[Setting] = field(default_factory=list)
    models: tuple[Path, ...] = ()


def run(host: Host, job: Job) -> list[Path]:
    """Run it to its end with progress on the terminal; the files it wrote."""
    job.output.mkdir(parents=True, exist_ok=True)
    say("starting ComfyUI ...")
    launch = Launch(models=tuple(path.resolve() for path in job.models), output=job.output.resolve())
    with Server(host, launch) as server:
        try:
            return asyncio.run(_run(server, job))
        except Gone:
            server.settle()
            raise Failure(server.death_note()) from None


async def _run(server: Server, job: Job) -> list[Path]:
    async with Client(server.url) as client:
        info = await client.object_info()
        if "Show1ModelLoader" not in info:
            say(f"note: the Show-1 nodes did not load; the reason is in {server.log}")
        prompt = workflows.to_api(job.workflow, info)
        workflows.apply(job.settings, prompt, info)
        titles = {node_id: workflows.title_of(node, info) for node_id, node in prompt.items()}
        shown = Progress(titles)
        try:
            prompt_id = await client.queue(prompt, _extra(job.workflow))
            end = await client.follow(prompt_id, shown.on_event)
        finally:
            shown.close()
        _check(end, titles, server)
        return [job.output.resolve() / file for file in await client.outputs(prompt_id)]


def _extra(workflow: Json) -> Json:
    """What the saving nodes embed, so that a result dropped on the canvas opens its workflow."""
    return {"extra_pnginfo": {"workflow": workflow}} if workflows.is_ui(workflow) else {}


def _check(end: Event, titles: dict[str, str], server: Server) -> None:
    """Raise unless the prompt ended well."""
    if end.type == "execution_interrupted":
        raise Failure("the run was interrupted.")
    if end.type == "execution_error":
        node_id = end.data["node_id"]
        title = titles.get(node_id, end.data["node_type"])
        raise Failure(f"{title} (node {node_id}): {failure(end)}\n(traceback in {server.log})")
