"""Runs scripts/batch.py as a user does, with stand-ins for ComfyUI, and looks at what it leaves."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from batches import manifest
from PIL import Image

REPO = Path(__file__).resolve().parents[2]
BATCH = [sys.executable, str(REPO / "scripts" / "batch.py")]
FAKE = Path(__file__).parent / "fake_comfyui"
Json = dict[str, Any]

WORKFLOW: Json = {
    "1": {"class_type": "FakeLoad", "inputs": {"name": "one"}},
    "2": {"class_type": "FakePicture", "_meta": {"title": "Picture"},
          "inputs": {"model": ["1", 0], "prompt": "nothing", "seed": 0, "strength": 0.5, "is_bright": False}},
    "3": {"class_type": "FakeSave", "inputs": {"images": ["2", 0], "filename_prefix": "video/clip"}},
}


@dataclass
class Result:
    """A result folder: the graph that lies in its picture, and the batch's own label."""

    id: str
    graph: Json
    label: Json

    @property
    def prompt(self) -> str:
        return self.graph["2"]["inputs"]["prompt"]


class Bench:
    """A folder for a batch, and the processes that were started for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output, self.log = folder, folder / "out", folder / "made.log"
        self.environment = os.environ | {"COMFYUI_PATH": str(FAKE), "COMFYUI_PYTHON": sys.executable, "FAKE_LOG": str(self.log),
                                         "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        self._started: list[subprocess.Popen[Any]] = []
        self.write_workflow(WORKFLOW)

    def write_workflow(self, workflow: Json) -> None:
        (self.folder / "workflow.json").write_text(json.dumps(workflow), encoding="utf-8")

    def write_table(self, rows: Sequence[Sequence[Any]]) -> None:
        """The first row is the header."""
        with (self.folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    def command(self, *arguments: str) -> list[str]:
        given = [str(self.folder / "workflow.json"), "--table", str(self.folder / "table.csv"), "--output", str(self.output)]
        return [*BATCH, *given, *arguments]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[Any]:
        """The command, in the background; what it says goes to batch.log."""
        with (self.folder / "batch.log").open("ab") as log:
            return self._keep(subprocess.Popen(self.command(*arguments), env=self.environment | variables, stderr=log))

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return subprocess.run(self.command(*arguments), env=self.environment | variables, capture_output=True, text=True,
                              timeout=300)

    def status(self) -> str:
        return subprocess.run([*BATCH, "--output", str(self.output), "--status"], env=self.environment, capture_output=True,
                              text=True, check=True).stdout

    def said(self) -> str:
        """What the commands in the background have said."""
        return (self.folder / "batch.log").read_text(encoding="utf-8")

    def serve(self, port: int | None = None, **variables: str) -> FakeServer:
        """A server that runs already."""
        return FakeServer(self, port or free_port(), variables)

    def _keep(self, process: subprocess.Popen[Any]) -> subprocess.Popen[Any]:
        self._started.append(process)
        return process

    def lines(self, event: str) -> list[Json]:
        return [line for line in manifest.read(self.output) if line["event"] == event]

    def results(self) -> list[Result]:
        """What lies in the output folder, read from the files alone."""
        found = []
        for place in sorted(place for place in self.output.iterdir() if place.is_dir()):
            (file,) = place.iterdir()
            with Image.open(file) as picture:
                texts = picture.text
            found.append(Result(place.name, json.loads(texts["prompt"]), json.loads(texts["batch"])))
        return found

    def made(self) -> int:
        """Pictures that were drawn, whether they were put away or not."""
        return len(self.log.read_text(encoding="utf-8").splitlines()) if self.log.exists() else 0

    def end(self) -> None:
        for process in self._started:
            for each in [*children(process.pid), process]:
                if each.is_running() if isinstance(each, psutil.Process) else each.poll() is None:
                    each.kill()
            process.wait()


class FakeServer:
    """A stand-in that can be killed, and started again on its port."""

    def __init__(self, bench: Bench, port: int, variables: Json) -> None:
        self._bench, self._port, self._variables = bench, port, variables
        self.url = f"http://127.0.0.1:{port}"
        self.output = bench.folder / f"server-{port}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(FAKE / "main.py"), "--port", str(self._port), "--output-directory", str(self.output),
                   "--input-directory", str(self.output / "input")]
        self.process = self._bench._keep(subprocess.Popen(command, env=self._bench.environment | self._variables))
        wait_until(lambda: self.process.poll() is not None or not is_free(self._port))
        assert self.process.poll() is None, "the stand-in ended"

    def running(self) -> list[Any]:
        """What it draws now, which is less than what it was sent."""
        with urllib.request.urlopen(f"{self.url}/queue") as answer:
            return json.load(answer)["queue_running"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def children(pid: int) -> list[psutil.Process]:
    """All processes below one."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def check_complete(bench: Bench, prompts: Sequence[str]) -> None:
    """One result for each prompt, labelled with its row; each in the manifest once; nothing half made."""
    results = bench.results()
    assert sorted(result.prompt for result in results) == sorted(prompts)
    assert all(prompts[result.label["row"] - 1] == result.prompt and result.label["id"] == result.id for result in results)
    done = sorted((line["id"], line["row"]) for line in bench.lines("done"))
    assert done == sorted((result.id, result.label["row"]) for result in results)
    assert not list(bench.output.glob(".part-*")) and not list(bench.output.glob("*.part"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)
