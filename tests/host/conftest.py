"""A real ComfyUI with the miniature models, started once for all tests of this folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
# Last on the path: scripts/comfy.py must not stand before the host's own package of that name.
sys.path += [str(REPO / "scripts"), str(Path(__file__).parent)]

from driver import Driver, alone, processes_naming, saving  # noqa: E402
from hosting.hosts import MODELS, Host  # noqa: E402
from hosting.install import ensure  # noqa: E402
from hosting.miniatures import build_miniatures  # noqa: E402
from hosting.server import Launch, Server  # noqa: E402

Json = dict[str, Any]


@pytest.fixture(scope="session")
def host() -> Host:
    """The ComfyUI of the tests, with the miniature models built for it."""
    chosen = ensure()
    build_miniatures(chosen)
    return chosen


@pytest.fixture(scope="session")
def server(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running server; after the last test nothing that was started with it is left."""
    output = tmp_path_factory.mktemp("server-output")
    launch = Launch(models=(MODELS,), output=output, arguments=("--preview-method", "auto"))
    with Server(host, launch) as running:
        yield running
    assert processes_naming(str(output)) == []


@pytest.fixture
def driver(server: Server) -> Driver:
    """Queues prompts on the running server."""
    assert server.is_alive(), server.death_note()
    return Driver(server.url)


@pytest.fixture(scope="session")
def cascade() -> Json:
    """The whole miniature cascade, in float32, its frames also saved without loss."""
    prompt = json.loads((REPO / "tests" / "data" / "miniature_workflow.json").read_text(encoding="utf-8"))
    for node in prompt.values():
        if node["class_type"] == "Show1ModelLoader":
            node["inputs"]["dtype"] = "fp32"
    return prompt | {"save": saving("17")}


@pytest.fixture
def keyframes(cascade: Json) -> Json:
    """The first stage alone, as a fresh copy."""
    return alone(cascade, "5")
