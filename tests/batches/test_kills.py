"""300 rows while workers, servers, actors and the driver are killed at random, by a seeded schedule."""

from __future__ import annotations

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
PROMPTS = [f"prompt number {number} of many" for number in range(300)]
Killer = Callable[[random.Random, subprocess.Popen[Any]], None]


def run_through(bench: Bench, arguments: list[str], kills: list[tuple[Killer | None, float]], seed: int) -> int:
    """Run the batch to its end through kills, each some seconds after the one before; None kills the driver. How many were killed.

    What dies is chance, so a row may be there twice and be set aside: that is then run again, as a user would.
    """
    chance = random.Random(seed)
    driver = bench.start(*arguments)
    struck = 0
    for killer, seconds in kills:
        time.sleep(seconds * chance.uniform(0.5, 1.5))
        if driver.poll() is not None:
            break
        struck += 1
        if killer is None:
            driver.kill()
            driver.wait()
            driver = bench.start(*arguments)
        else:
            killer(chance, driver)
    code = driver.wait(timeout=400)
    assert code == 0 or "set aside" in bench.status(), bench.said()[-3000:]
    if code:
        again = bench.run(*arguments, "--retry")
        assert again.returncode == 0, again.stderr[-3000:]
    return struck


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
    kills = [(kill_host, 15.0), (kill_host, 4.0), (kill_host, 4.0), (None, 4.0), (kill_host, 15.0), (kill_host, 4.0), (None, 4.0),
             (kill_host, 15.0)]
    struck = run_through(rows, ["--workers", "4"], kills, seed=1)
    check_complete(rows, PROMPTS)
    print(f"{struck} killed, {rows.made()} drawn for {len(PROMPTS)} results")
    assert struck >= 5 and rows.made() <= len(PROMPTS) + struck * 8


def test_servers_and_driver(rows: Bench) -> None:
    """Four servers that vanish and come back, with what was queued on them gone."""
    servers = [rows.serve(FAKE_SECONDS="0.25") for _ in range(4)]
    strike = kill_and_restart(servers)
    kills = [(None if number % 5 == 4 else strike, 1.2) for number in range(14)]
    struck = run_through(rows, ["--servers", *(server.url for server in servers)], kills, seed=2)
    check_complete(rows, PROMPTS)
    print(f"{struck} killed, {rows.made()} drawn for {len(PROMPTS)} results")
    assert struck >= 8 and rows.made() <= len(PROMPTS) + struck * 2


class Cluster:
    """A Ray cluster of this machine alone, on the loopback."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=4", "--num-gpus=0"]
        ray += [f"--port={self.address.split(':')[1]}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
        ray += [f"--temp-dir={folder}", "--disable-usage-stats", f"--object-store-memory={100 * 2**20}"]
        self.process = subprocess.Popen(ray, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
    kills = [(cluster.kill_actor, 25.0), (cluster.kill_actor, 4.0), (cluster.kill_actor, 4.0), (None, 4.0),
             (cluster.kill_actor, 20.0), (cluster.kill_actor, 4.0)]
    struck = run_through(rows, ["--ray", cluster.address, "--workers", "4"], kills, seed=3)
    check_complete(rows, PROMPTS)
    print(f"{struck} killed, {rows.made()} drawn for {len(PROMPTS)} results")
    assert struck >= 4


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
