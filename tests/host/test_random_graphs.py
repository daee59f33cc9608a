"""Random graphs run on a server: each ends well, is refused by validation, or by a node in one sentence; the server lives."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter

import pytest
from driver import Driver, Json
from hosting.hosts import MODELS, Host
from hosting.server import Launch, Server
from random_graphs import CORE, ENDS, Grower
from terminal import Failure
from workflows.events import Event, failure

GRAPHS = int(os.environ.get("SHOW1_RANDOM_GRAPHS", "100"))
PATIENCE = 5.0  # seconds, then a run is cancelled
ADDRESSES = 12 * 2**30  # bytes: a graph at its maximum is to be short of memory, not this machine
PLAIN = ("ValueError", "RuntimeError")  # what a node of ours raises on purpose


@pytest.fixture(scope="module")
def driver(host: Host, tmp_path_factory: pytest.TempPathFactory):
    """A server of its own, whose memory is bounded."""
    resource = pytest.importorskip("resource", reason="limits of a process, as POSIX has them")
    with Server(host, Launch(models=(MODELS,), output=tmp_path_factory.mktemp("random"))) as server:
        if hasattr(resource, "prlimit"):
            resource.prlimit(server.pid, resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        driver = Driver(server.url)
        yield driver
        assert server.is_alive(), server.death_note()


def ended(driver: Driver, prompt: Json) -> tuple[str, Event | None]:
    """How a graph ended: refused, or the name of the server's last event, and that event."""
    timer = threading.Timer(PATIENCE, driver.interrupt)
    timer.start()
    try:
        end = driver.run(prompt).end
    except Failure:
        return "refused", None
    finally:
        timer.cancel()
    return end.type, end


@pytest.mark.slow
def test_every_graph_comes_to_an_end(driver: Driver) -> None:
    info = driver.object_info()
    names = [*CORE, *ENDS, *(name for name in info if info[name]["category"].split("/")[0] == "Show-1")]
    grower, outcomes = Grower(random.Random(0), {name: info[name] for name in names}), Counter()
    for number in range(GRAPHS):
        prompt = grower.graph()
        outcome, end = ended(driver, prompt)
        outcomes[outcome] += 1
        if outcome == "execution_error" and end.data["node_type"].startswith("Show1"):
            assert end.data["exception_type"] in PLAIN and "\n" not in failure(end), (number, prompt, failure(end))
        if (number + 1) % 100 == 0:
            print(number + 1, dict(outcomes), flush=True)
    assert outcomes["execution_success"] >= GRAPHS // 10, "hardly any graph runs: the test says little"
