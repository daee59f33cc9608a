"""Rows while workers, servers, actors and the driver are killed at random, by a seeded schedule: 100, or 300 for a sweep."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import Bench, FakeServer, check_complete, children, free_port, is_free, wait_until

pytestmark = pytest.mark.slow
ROWS = 300 if os.environ.get("SHOW1_SWEEP") == "1" else 100
PROMPTS = [f"prompt number {number} of many" for number in range(ROWS)]
Killer = Callable[[random.Random, subprocess.Popen[Any]], None]


def run_through(bench: Bench, arguments: list[str], kills: list[Killer | None], seed: int) -> None:
    """Run the batch to its end; whenever about so many more results are there, one kill. None kills the driver.

    What dies is chance, so a row may be at work twice when it happens, and be set aside: it is then run again, as a user would.
    """
    chance = random.Random(seed)
    driver = bench.start(*arguments)
    pause = len(PROMPTS) // (len(kills) + 1)
    for number, killer in enumerate(kills, start=1):
        wanted = number * pause + chance.randrange(-pause // 3, pause // 3)
        wait_until(lambda wanted=wanted: len(bench.lines("done")) >= wanted, seconds=200)
        time.sleep(chance.uniform(0, 0.5))
        if killer is None:
            driver.kill()
            driver.wait()
            driver = bench.start(*arguments)
        else:
            killer(chance, driver)
    code = driver.wait(timeout=300)
    assert code == 0 or "set aside" in bench.status(), bench.said()[-3000:]
    if code:
        again = bench.run(*arguments, "--retry")
        assert again.returncode == 0, again.stderr[-3000:]
    check_complete(bench, PROMPTS)
    print(f"{len(kills)} killed, {bench.made()} drawn for {len(PROMPTS)} results, {len(bench.lines('lost'))} lost on the way")


def kill_host(chance: random.Random, driver: subprocess.Popen[Any]) -> None:
    """One of the ComfyUIs below the driver."""
    hosts = [process for process in children(driver.pid) if "--output-directory" in process.cmdline()]
    if hosts:
        chance.choice(hosts).kill()


def kill_and_restart(servers: list[FakeServer]) -> Killer:
    def strike(chance: random.Random, _driver: subprocess.Popen[Any]) -> None:
        server = chance.choice(servers)
        server.kill()
        time.sleep(chance.uniform(0, 2))
        server.start()

    return strike


@pytest.fixture
def rows(bench: Bench) -> Bench:
    bench.write_table([("2.prompt", "seed"), *((prompt, number) for number, prompt in enumerate(PROMPTS))])
    return bench


def test_workers_and_driver(rows: Bench) -> None:
    """Four processes of our own."""
    rows.environment |= {"FAKE_SECONDS": "0.4"}
    run_through(rows, ["--workers", "4"], [kill_host, kill_host, None, kill_host, kill_host, None, kill_host, kill_host], seed=1)
    assert rows.made() <= len(PROMPTS) + 8 * 4


def test_servers_and_driver(rows: Bench) -> None:
    """Four servers that vanish and come back, with what was queued on them gone."""
    servers = [rows.serve(FAKE_SECONDS="0.25") for _ in range(4)]
    strike = kill_and_restart(servers)
    run_through(rows, ["--servers", *(server.url for server in servers)], [strike, strike, None, strike] * 4, seed=2)
    assert rows.made() <= len(PROMPTS) + 16 * 4


class Cluster:
    """A Ray cluster of this machine alone, on the loopback."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=4", "--num-gpus=0"]
        ray += [f"--port={self.address.split(':')[1]}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
        ray += [f"--temp-dir={folder}", "--disable-usage-stats", f"--object-store-memory={100 * 2**20}"]
        own = environment | {"FAKE_SECONDS": "0.3", "RAY_worker_niceness": "0"}  # else all that runs here goes before the actors
        self.process = subprocess.Popen(ray, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: not is_free(int(self.address.split(":")[1])))

    def actors(self) -> list[psutil.Process]:
        return [process for process in children(self.process.pid) if "HostActor" in " ".join(process.cmdline())]

    def kill_actor(self, chance: random.Random, _driver: subprocess.Popen[Any]) -> None:
        """An actor's process, or the ComfyUI below it."""
        victims = self.actors()
        victims += [process for actor in victims for process in actor.children(recursive=True)]
        if victims:
            chance.choice(victims).kill()

    def end(self) -> None:
        for process in [*children(self.process.pid), psutil.Process(self.process.pid)]:
            if process.is_running():
                process.kill()
        self.process.wait()


@pytest.fixture
def cluster(rows: Bench, tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    started = Cluster(tmp_path_factory.mktemp("ray"), rows.environment)
    yield started
    started.end()


def test_ray(rows: Bench, cluster: Cluster) -> None:
    """Four actors on one machine."""
    rows.environment |= {"FAKE_SECONDS": "0.4"}
    strike = cluster.kill_actor
    run_through(rows, ["--ray", cluster.address, "--workers", "4"], [strike, strike, None, strike, strike], seed=3)
    assert rows.made() <= len(PROMPTS) + 5 * 8


def test_across_engines(rows: Bench, cluster: Cluster) -> None:
    """Half by workers, which are killed with their driver; the rest by Ray."""
    driver = rows.start("--workers", "2", FAKE_SECONDS="0.1")
    wait_until(lambda: len(rows.lines("done")) >= len(PROMPTS) // 2, seconds=200)
    driver.kill()
    driver.wait()
    ran = rows.run("--ray", cluster.address, "--workers", "2")
    assert ran.returncode == 0, ran.stderr[-3000:]
    check_complete(rows, PROMPTS)
    engines = {str(line["worker"]).split()[0] for line in rows.lines("done")}
    assert {"worker", "actor"} <= engines and rows.made() <= len(PROMPTS) + 4
