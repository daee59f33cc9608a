"""Queues a prompt on a running ComfyUI and follows it to its end over HTTP and websocket."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

import aiohttp
from terminal import Failure

from .events import ENDS, Event, Json, refusal, text_on_node

LARGEST_MESSAGE = 256 * 2**20  # previews and history of long videos


class Gone(Exception):
    """The server closed the connection before the prompt was through."""


class Client:
    """A connection to one server; as an async context manager it is open inside the block."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = uuid.uuid4().hex

    async def __aenter__(self) -> Client:
        limits = aiohttp.ClientTimeout(total=None, connect=10)
        self._session = aiohttp.ClientSession(self.url, timeout=limits)
        self._socket = await self._session.ws_connect(f"/ws?clientId={self.id}", max_msg_size=LARGEST_MESSAGE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._session.close()

    async def get(self, path: str) -> Any:
        """The JSON at a path of the server."""
        async with self._session.get(path) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def object_info(self) -> Json:
        """Every node type of the server, with its inputs."""
        return await self.get("/object_info")

    async def queue(self, prompt: Json, extra: Json | None = None) -> str:
        """Queue a prompt and return its id; `extra` is embedded in the files (the UI workflow)."""
        body = {"prompt": prompt, "client_id": self.id, "extra_data": extra or {}}
        async with self._session.post("/prompt", json=body) as answer:
            reply = await answer.json()
            if answer.status != 200:
                raise Failure(refusal(reply))
            return reply["prompt_id"]

    async def follow(self, prompt_id: str, on_event: Callable[[Event], None]) -> Event:
        """Pass on every event of the prompt; the one that says how it ended is returned."""
        end: Event | None = None
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.BINARY and (said := text_on_node(message.data)):
                on_event(said)
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            content = json.loads(message.data)
            event = Event(content["type"], content.get("data") or {})
            if event.data.get("prompt_id") != prompt_id:
                continue
            on_event(event)
            if event.type in ENDS:
                end = event
            if end and event.type == "executing" and event.data["node"] is None:
                return end  # only now is the result in the history
        raise Gone

    async def outputs(self, prompt_id: str) -> list[PurePosixPath]:
        """The files the prompt wrote, relative to the output folder."""
        history = await self.get(f"/history/{prompt_id}")
        shown = history[prompt_id]["outputs"].values()
        entries = [entry for ui in shown for entries in ui.values() for entry in _list(entries)]
        files = [entry for entry in entries if isinstance(entry, dict) and entry.get("type") == "output"]
        return [PurePosixPath(entry.get("subfolder", ""), entry["filename"]) for entry in files]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
