"""A stand-in for ComfyUI: its command line, its HTTP and websocket interface and its queue, with three light nodes.

`FakeLoad` gives a model, `FakePicture` a picture of a prompt, `FakeSave` writes it with the graph in it. What the
prompt says can happen: FAIL (the node fails), KILL (the process dies), SLOW. FAKE_SECONDS is how long a picture takes;
FAKE_LOG gets a line for each picture that was made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from PIL import Image
from PIL.PngImagePlugin import PngInfo

Json = dict[str, Any]
NODES: Json = {
    "FakeLoad": {"input": {"required": {"name": [["one", "two"], {}]}}, "output": ["MODEL"]},
    "FakePicture": {
        "input": {"required": {
            "model": ["MODEL", {}], "prompt": ["STRING", {"multiline": True}],
            "seed": ["INT", {"min": 0, "max": 2**32, "default": 0}], "strength": ["FLOAT", {"min": 0.0, "max": 1.0}],
            "is_bright": ["BOOLEAN", {"default": False}]},
            "optional": {"image": [["here.png"], {"image_upload": True}], "style": ["COMBO", {"options": ["plain", "rich"]}]}},
        "output": ["IMAGE"]},
    "FakeSave": {"input": {"required": {"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}}, "output": [],
                 "output_node": True},
}


class Host:
    """The queue, and the one thread of work that empties it."""

    def __init__(self, output: Path, inputs: Path) -> None:
        self.output, self.inputs = output, inputs
        self.pending: list[list[Any]] = []
        self.running: list[Any] | None = None
        self.history: Json = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.interrupted = False
        self.seconds = float(os.environ.get("FAKE_SECONDS", "0.05"))
        self.nodes = {name: node for name, node in NODES.items() if name not in os.environ.get("FAKE_LACKS", "").split(",")}

    async def work(self) -> None:
        while True:
            if not self.pending:
                await asyncio.sleep(0.005)
                continue
            self.running = self.pending.pop(0)
            await self._run(*self.running[:4])
            self.running = None

    async def _run(self, _number: float, prompt_id: str, graph: Json, extra: Json) -> None:
        client, messages = extra.get("client_id"), []

        async def tell(kind: str, **data: Any) -> None:
            data["prompt_id"] = prompt_id
            messages.append([kind, data])
            socket = self.sockets.get(client)
            if socket is not None and not socket.closed:
                await socket.send_json({"type": kind, "data": data})

        await tell("execution_start")
        outputs: Json = {}
        self.interrupted = False
        try:
            for node_id, node in graph.items():
                if node["class_type"] == "FakePicture":
                    await self._picture(node["inputs"])
                if node["class_type"] == "FakeSave":
                    outputs[node_id] = {"images": [self._save(node["inputs"], graph, extra)]}
            status = "success"
            await tell("execution_success")
        except InterruptedError:
            status = "error"
            await tell("execution_interrupted")
        except ValueError as error:
            status = "error"
            await tell("execution_error", node_id="2", node_type="FakePicture", exception_type="ValueError",
                       exception_message=str(error))
        self.history[prompt_id] = {"prompt": [0, prompt_id, graph, extra, []], "outputs": outputs,
                                   "status": {"status_str": status, "completed": status == "success", "messages": messages}}
        await tell("executing", node=None)

    async def _picture(self, inputs: Json) -> None:
        prompt = inputs["prompt"]
        end = time.monotonic() + self.seconds * (100 if "SLOW" in prompt else 1)
        while time.monotonic() < end:
            await asyncio.sleep(min(0.02, self.seconds))
            if self.interrupted:
                raise InterruptedError
        if "KILL" in prompt:
            os._exit(9)
        if "FAIL" in prompt:
            raise ValueError(f"this prompt cannot be drawn: {prompt}")
        log = os.environ.get("FAKE_LOG")
        if log:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{json.dumps([prompt, inputs['seed']])}\n")

    def _save(self, inputs: Json, graph: Json, extra: Json) -> Json:
        folder, _, stem = inputs["filename_prefix"].rpartition("/")
        (self.output / folder).mkdir(parents=True, exist_ok=True)
        number = len(list((self.output / folder).glob(f"{stem}_*.png"))) + 1
        name = f"{stem}_{number:05}_.png"
        texts = PngInfo()
        texts.add_text("prompt", json.dumps(graph))
        for key, value in extra.get("extra_pnginfo", {}).items():
            texts.add_text(key, json.dumps(value))
        Image.new("RGB", (16, 16), "blue").save(self.output / folder / name, pnginfo=texts)
        return {"filename": name, "subfolder": folder, "type": "output"}


def application(host: Host) -> web.Application:
    """The host's interface."""
    routes = web.RouteTableDef()

    @routes.get("/ws")
    async def websocket(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        host.sockets[request.query["clientId"]] = socket
        async for message in socket:
            assert message.type is WSMsgType.TEXT
        return socket

    @routes.get("/system_stats")
    async def stats(_request: web.Request) -> web.Response:
        return web.json_response({})

    @routes.get("/object_info")
    async def info(_request: web.Request) -> web.Response:
        return web.json_response(host.nodes)

    @routes.get("/queue")
    async def queue(_request: web.Request) -> web.Response:
        running = [host.running] if host.running else []
        return web.json_response({"queue_running": running, "queue_pending": host.pending})

    @routes.post("/queue")
    async def change_queue(request: web.Request) -> web.Response:
        dropped = (await request.json()).get("delete", [])
        host.pending[:] = [entry for entry in host.pending if entry[1] not in dropped]
        return web.Response()

    @routes.post("/interrupt")
    async def interrupt(request: web.Request) -> web.Response:
        if host.running and host.running[1] == (await request.json())["prompt_id"]:
            host.interrupted = True
        return web.Response()

    @routes.get("/history")
    async def whole_history(_request: web.Request) -> web.Response:
        return web.json_response(host.history)

    @routes.get("/history/{prompt_id}")
    async def history(request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        return web.json_response({prompt_id: host.history[prompt_id]} if prompt_id in host.history else {})

    @routes.post("/history")
    async def change_history(request: web.Request) -> web.Response:
        for prompt_id in (await request.json()).get("delete", []):
            host.history.pop(prompt_id, None)
        return web.Response()

    @routes.post("/prompt")
    async def prompt(request: web.Request) -> web.Response:
        body = await request.json()
        unknown = [node["class_type"] for node in body["prompt"].values() if node["class_type"] not in host.nodes]
        if unknown:
            error = {"type": "invalid_prompt", "message": f"node {unknown[0]} does not exist", "details": ""}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        extra = body.get("extra_data", {}) | {"client_id": body["client_id"]}
        host.pending.append([len(host.history), body["prompt_id"], body["prompt"], extra, []])
        return web.json_response({"prompt_id": body["prompt_id"], "number": 0, "node_errors": {}})

    @routes.get("/view")
    async def view(request: web.Request) -> web.StreamResponse:
        file = host.output / request.query["subfolder"] / request.query["filename"]
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    @routes.post("/upload/image")
    async def upload(request: web.Request) -> web.Response:
        form = await request.post()
        folder = host.inputs / str(form["subfolder"])
        folder.mkdir(parents=True, exist_ok=True)
        field = form["image"]
        assert isinstance(field, web.FileField)
        (folder / field.filename).write_bytes(field.file.read())
        return web.json_response({"name": field.filename})

    made = web.Application(client_max_size=2**28)
    made.add_routes(routes)
    return made


async def main() -> None:
    """Serve until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--output-directory", type=Path, required=True)
    parser.add_argument("--input-directory", type=Path, default=Path())
    chosen, _ = parser.parse_known_args()
    host = Host(chosen.output_directory, chosen.input_directory)
    runner = web.AppRunner(application(host))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", chosen.port).start()
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    await host.work()


if __name__ == "__main__":
    asyncio.run(main())
