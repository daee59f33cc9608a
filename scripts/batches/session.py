"""A connection to one ComfyUI on which several prompts are under way: HTTP says what is true, the websocket when to ask."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

import aiohttp
from workflows.client import LARGEST_MESSAGE
from workflows.events import Event, failure, refusal
from workflows.workflow import Json

from .columns import FOLDER, Upload
from .results import BLOCK
from .workers import Done, Failed, Lost, Outcome, Task, Watch, Withdrawn

POLL_SECONDS = 5  # events may be lost, so the server is asked as well
HEARTBEAT_SECONDS = 120  # a host that loads a large model answers late
NETWORK = (aiohttp.ClientError, asyncio.TimeoutError)


class Gone(Exception):
    """The server closed the connection, or no longer knows the prompt."""


class Refused(Exception):
    """The server did not take the prompt, or a node failed; the text is the server's."""


class Prompt:
    """A prompt under way."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.changed = asyncio.Event()
        self.began: float | None = None
        self.ended: float | None = None
        self.is_withdrawn = False

    @property
    def seconds(self) -> float:
        """How long it ran; 0 where its events were missed."""
        return (self.ended or time.monotonic()) - self.began if self.began else 0.0

    def on_event(self, event: Event) -> None:
        """Take in what the server says about it."""
        if event.type == "execution_start":
            self.began = time.monotonic()
        if event.type == "executing" and event.data.get("node") is None:
            self.ended = time.monotonic()
            self.changed.set()  # only now is it in the history
        self.watch(event)


class Session:
    """An open connection. Equal `client_id`s make a server send its events to whoever came last."""

    def __init__(self, url: str, client_id: str) -> None:
        self.url = url
        self.client_id = client_id
        self._prompts: dict[str, Prompt] = {}
        self._uploaded: set[str] = set()
        self._is_open = False

    async def open(self) -> Json:
        """Connect; the nodes that the server has. Raises one of NETWORK."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
        self._http = aiohttp.ClientSession(self.url, timeout=limits)
        try:
            address = f"/ws?clientId={self.client_id}"
            self._socket = await self._http.ws_connect(address, max_msg_size=LARGEST_MESSAGE, heartbeat=HEARTBEAT_SECONDS)
            self._is_open = True
            self._reader = asyncio.create_task(self._read())
            return await self._get("/object_info")
        except BaseException:
            await self._http.close()
            raise

    async def close(self) -> None:
        """Disconnect; prompts under way are lost."""
        self._reader.cancel()
        await self._socket.close()
        await self._http.close()
        self._disconnected()

    async def run(self, task: Task, folder: Path, watch: Watch) -> Outcome:
        """Queue the task, unless it is there already, follow it, and fetch its files."""
        prompt_id, prompt = task.prompt_id or str(uuid.uuid4()), Prompt(watch)
        self._prompts[prompt_id] = prompt
        try:
            if task.prompt_id:
                prompt.changed.set()  # it may have ended long ago
            else:
                await self._submit(task, prompt_id)
            entry = await self._followed(prompt_id, prompt)
            if entry is None:
                return Withdrawn()
            await self._fetch(_files(entry), folder)
            await self._post("/history", {"delete": [prompt_id]})
            return Done(prompt.seconds)
        except Refused as refused:
            return Failed(str(refused))
        except (Gone, *NETWORK) as error:
            return Lost(prompt.began is not None and prompt.ended is None, str(error) or type(error).__name__)
        finally:
            del self._prompts[prompt_id]

    async def held(self) -> dict[str, str]:
        """Prompts of an earlier batch that the server still has, or has ended: job id and prompt id."""
        queue, history = await self._get("/queue"), await self._get("/history")
        queued = queue["queue_running"] + queue["queue_pending"]
        entries = [*(entry["prompt"] for entry in history.values()), *queued]
        return {entry[3]["batch"]["job"]: entry[1] for entry in entries
                if entry[3].get("client_id") == self.client_id and "batch" in entry[3]}

    async def withdraw(self) -> None:
        """Take prompts that have not begun out of the server's queue."""
        waiting = [prompt_id for prompt_id, prompt in self._prompts.items() if prompt.began is None]
        await self._post("/queue", {"delete": waiting})
        for prompt_id in waiting:
            if prompt_id in self._prompts:
                self._prompts[prompt_id].is_withdrawn = True
                self._prompts[prompt_id].changed.set()

    async def abort(self) -> None:
        """Drop all that is under way."""
        await self.drop(list(self._prompts))

    async def drop(self, prompt_ids: list[str]) -> None:
        """Take prompts out of the queue, and interrupt the one that runs."""
        if not prompt_ids:
            return
        await self._post("/queue", {"delete": prompt_ids})
        for prompt_id in prompt_ids:
            await self._post("/interrupt", {"prompt_id": prompt_id})

    async def _submit(self, task: Task, prompt_id: str) -> None:
        for upload in task.uploads:
            await self._upload(upload)
        body = {
            "prompt": named_outputs(task.graph, f"{FOLDER}/{task.job_id}-{prompt_id[:8]}"),
            "prompt_id": prompt_id,
            "client_id": self.client_id,
            "extra_data": {"extra_pnginfo": {"batch": task.label}, "batch": {"job": task.job_id}},
        }
        async with self._http.post("/prompt", json=body) as answer:
            if answer.status >= 500:
                raise Gone(f"the server answered {answer.status}")
            reply = await answer.json(content_type=None)
        if answer.status != 200 or reply.get("node_errors"):
            await self._post("/queue", {"delete": [prompt_id]})  # a graph that is wrong in part is taken in part
            raise Refused(refusal(reply))

    async def _followed(self, prompt_id: str, prompt: Prompt) -> Json | None:
        """Its entry in the history once it has ended; None if it was withdrawn. Raises Gone, Refused."""
        while True:
            await _wait(prompt.changed, POLL_SECONDS)
            if not self._is_open:
                raise Gone("the connection was closed")
            is_queued = await self._is_queued(prompt_id)  # asked first: in between it may end, but not begin
            entry = (await self._get(f"/history/{prompt_id}")).get(prompt_id)
            if entry:
                return _succeeded(entry)
            if not is_queued:
                if prompt.is_withdrawn:
                    return None
                raise Gone("the server no longer knows the prompt; it was restarted or its queue cleared")

    async def _is_queued(self, prompt_id: str) -> bool:
        queue = await self._get("/queue")
        return any(entry[1] == prompt_id for entry in queue["queue_running"] + queue["queue_pending"])

    async def _fetch(self, files: list[Json], folder: Path) -> None:
        if not files:
            raise Refused("the workflow wrote no file; it needs a node that saves, such as Save Video")
        names: set[str] = set()
        for number, file in enumerate(files):
            name = safe_name(file["filename"])
            name = f"{number}-{name}" if name in names else name
            names.add(name)
            asked = {"filename": file["filename"], "subfolder": file.get("subfolder", ""), "type": file["type"]}
            async with self._http.get("/view", params=asked) as answer:
                if answer.status != 200:
                    raise Refused(f"the server wrote {file['filename']} but does not give it ({answer.status})")
                with (folder / name).open("wb") as place:
                    async for block in answer.content.iter_chunked(BLOCK):
                        place.write(block)

    async def _upload(self, upload: Upload) -> None:
        if upload.name in self._uploaded:
            return
        path = PurePosixPath(upload.name)
        with upload.path.open("rb") as content:
            form = aiohttp.FormData({"subfolder": str(path.parent), "type": "input", "overwrite": "true"})
            form.add_field("image", content, filename=path.name)
            async with self._http.post("/upload/image", data=form) as answer:
                answer.raise_for_status()
        self._uploaded.add(upload.name)

    async def _get(self, path: str) -> Any:
        async with self._http.get(path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _post(self, path: str, body: Json) -> None:
        async with self._http.post(path, json=body) as answer:
            answer.raise_for_status()

    async def _read(self) -> None:
        """Hand each event to its prompt until the connection ends."""
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue  # a preview image
                content = json.loads(message.data)
                event = Event(content["type"], content.get("data") or {})
                prompt = self._prompts.get(event.data.get("prompt_id", ""))
                if prompt:
                    prompt.on_event(event)
        finally:
            self._disconnected()

    def _disconnected(self) -> None:
        self._is_open = False
        for prompt in self._prompts.values():
            prompt.changed.set()


def named_outputs(graph: Json, folder: str) -> Json:
    """The graph with all that saves saving to this folder: no run is answered with the files of another."""
    nodes = {}
    for node_id, node in graph.items():
        prefix = node["inputs"].get("filename_prefix")
        if isinstance(prefix, str):
            stem = re.split(r"[/\\]", prefix)[-1] or "result"
            node = node | {"inputs": node["inputs"] | {"filename_prefix": f"{folder}/{stem}"}}
        nodes[node_id] = node
    return nodes


def safe_name(name: str) -> str:
    """A file name that stays in its folder, whatever the server says."""
    return re.sub(r"[^\w.() -]", "_", re.split(r"[/\\]", name)[-1]).lstrip(".") or "result"


def _succeeded(entry: Json) -> Json:
    """The entry, if its prompt ended well. Raises Refused with the node's message."""
    for kind, data in entry.get("status", {}).get("messages", []):
        if kind == "execution_error":
            raise Refused(f"{data.get('node_type')} (node {data.get('node_id')}): {failure(Event(kind, data))}")
        if kind == "execution_interrupted":
            raise Refused("it was interrupted on the server")
    return entry


def _files(entry: Json) -> list[Json]:
    """What the prompt wrote into the output folder."""
    lists = [entries for shown in entry["outputs"].values() for entries in shown.values() if isinstance(entries, list)]
    return [file for entries in lists for file in entries if isinstance(file, dict) and file.get("type") == "output"]


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event, which is cleared, or so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return
    event.clear()
