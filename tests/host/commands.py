"""Runs the pack's commands as a user does, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from driver import processes_naming
from hosting.hosts import MODELS, REPO

Json = dict[str, Any]
COMFY = [sys.executable, str(REPO / "scripts" / "comfy.py")]


def run(workflow: Json, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`comfy.py run` on a workflow; results go to folder/out."""
    return subprocess.run(command(workflow, folder, *arguments), capture_output=True, text=True, timeout=300)


def command(workflow: Json, folder: Path, *arguments: str) -> list[str]:
    file = folder / "workflow.json"
    file.write_text(json.dumps(workflow), encoding="utf-8")
    return [*COMFY, "run", str(file), "--output", str(folder / "out"), "--models", str(MODELS), *arguments]


def is_sampling(folder: Path) -> bool:
    """Whether the server whose results go to this folder has begun its prompt."""
    lines = [line for line in processes_naming(str(folder)) if "--port" in line]
    if not lines:
        return False
    port = lines[0][lines[0].index("--port") + 1]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/queue", timeout=2) as answer:
            return bool(json.load(answer)["queue_running"])
    except OSError:
        return False  # it does not listen yet


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)
