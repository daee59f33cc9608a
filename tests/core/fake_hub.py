"""A model hub on this machine, as small as can be, that can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REVISION = "a" * 40


@dataclass
class FakeHub:
    """Repositories by name, each path and its content; what is done wrong; and what was asked for.

    `cuts` are the shares of a file after which the connection is dropped, one a request; then `status`, when it is
    given, answers all requests for files. `lie` is sent for every file, `lists` is said of every file in the listing.
    """

    repositories: dict[str, dict[str, bytes]]
    url: str = ""
    cuts: list[float] = field(default_factory=list)
    status: tuple[int, str] | None = None
    ignores_ranges: bool = False
    lie: bytes | None = None
    lists: dict[str, object] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def files_asked(self) -> list[str]:
        return [path for path, _ in self.asked]

    def listing(self, name: str) -> bytes:
        siblings = [sibling(path, content) | self.lists for path, content in self.repositories[name].items()]
        return json.dumps({"id": name, "sha": REVISION, "siblings": siblings, "tags": []}).encode()


def sibling(path: str, content: bytes) -> dict[str, object]:
    """What the hub lists of a file: git's hash of a small one, the SHA-256 of a large one."""
    entry: dict[str, object] = {
        "rfilename": path, "size": len(content), "blobId": hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()}
    if not path.endswith(".json"):
        entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """The hub at a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    """A request handler that answers for this hub."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is the base class's
            path = unquote(urlsplit(self.path).path)
            if path.startswith("/api/models/"):
                name = path.removeprefix("/api/models/")
                self.answer(200, hub.listing(name)) if name in hub.repositories else self.refuse(401, "RepoNotFound")
                return
            name, _, file = path[1:].partition(f"/resolve/{REVISION}/")
            hub.asked.append((file, self.headers.get("Range")))
            if hub.cuts or hub.status is None:
                self.send_file(hub.lie or hub.repositories[name][file])
            else:
                self.refuse(*hub.status)

        def send_file(self, content: bytes) -> None:
            asked = self.headers.get("Range")
            start = 0 if asked is None or hub.ignores_ranges else int(asked.removeprefix("bytes=").split("-")[0])
            rest = content[start:]
            sent = rest[:max(int(hub.cuts.pop(0) * len(content)) - start, 0)] if hub.cuts else rest
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(sent)
            self.close_connection = True

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is not the place."""

    return Handler
