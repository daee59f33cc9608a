"""Commands stopped by Ctrl-C at any moment, and a host that is killed: nothing stays behind, and the next start is clean."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import psutil
import pytest
from commands import command, is_sampling, run, wait_until
from driver import processes_naming
from hosting.hosts import REPO, Host

Json = dict[str, Any]
STARTED = 1.0  # seconds until Python has read its way to the command's own handling of signals

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]


def stopped_after(seconds: float, line: list[str]) -> tuple[int, str]:
    """Press Ctrl-C so long after the start: the exit code and what the command said."""
    started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        _, said = started.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGINT)  # a terminal tells the whole group
        _, said = started.communicate(timeout=30)
    return started.returncode, said


def whole(file: Path) -> bool:
    """Whether a picture or video is complete."""
    with av.open(str(file)) as container:
        frames = len(list(container.decode(video=0)))
    return frames == (29 if file.suffix == ".mp4" else 1)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 10.0])
def test_a_run_stopped_at_any_moment(host: Host, keyframes: Json, tmp_path: Path, seconds: float) -> None:
    code, said = stopped_after(seconds, command(keyframes, tmp_path))
    assert code in (0, 130) or seconds < STARTED, said
    assert "Traceback" not in said or seconds < STARTED
    wait_until(lambda: processes_naming(str(tmp_path)) == [])
    assert all(whole(file) for file in (tmp_path / "out").glob("*.*"))


@pytest.mark.parametrize("seconds", [3.0, 9.0, 15.0, 21.0])
def test_the_demo_stopped_at_any_moment(host: Host, tmp_path: Path, seconds: float) -> None:
    demo = [sys.executable, str(REPO / "scripts" / "demo.py"), "a blue square growing", "--output", str(tmp_path)]
    code, said = stopped_after(seconds, demo)
    assert code in (0, 130) and "Traceback" not in said, said
    wait_until(lambda: processes_naming(str(tmp_path)) == [])
    assert all(whole(file) for file in tmp_path.rglob("*.mp4"))


def test_a_host_that_is_killed_is_told_and_the_next_start_is_clean(host: Host, keyframes: Json, tmp_path: Path) -> None:
    steps = keyframes["5"]["inputs"]["steps"]
    keyframes["5"]["inputs"]["steps"] = 900
    started = subprocess.Popen(command(keyframes, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: is_sampling(tmp_path / "out"))
    server, = (child for child in psutil.Process(started.pid).children(recursive=True) if "--port" in child.cmdline())
    server.kill()
    printed, said = started.communicate(timeout=30)
    assert started.returncode == 1 and not printed
    assert "ComfyUI ended by itself; its log is" in said and "Traceback" not in said
    assert processes_naming(str(tmp_path)) == [] and list((tmp_path / "out").glob("*.*")) == []
    keyframes["5"]["inputs"]["steps"] = steps
    assert run(keyframes, tmp_path).returncode == 0


def test_a_setup_stopped_at_any_moment_is_finished_by_the_next(host: Host, tmp_path: Path) -> None:
    """In a copy of the commands, which sets a ComfyUI up beside itself: some minutes. The path is none that scripts like."""
    if not host.kept:
        pytest.skip("the tests are run with a ComfyUI of the user's own, nothing is set up")
    clone = tmp_path / "a clöne \u7247"
    shutil.copytree(REPO / "scripts", clone / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml", "__init__.py"):
        shutil.copy(REPO / name, clone)
    setup = [sys.executable, str(clone / "scripts" / "comfy.py"), "setup"]
    for seconds in (1.5, 5.0, 10.0, 20.0):
        code, said = stopped_after(seconds, setup)
        assert code in (0, 130) and "Traceback" not in said, said
        wait_until(lambda: processes_naming(str(clone)) == [])
    done = subprocess.run(setup, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(setup, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and "[" not in again.stderr, "nothing is left to be done, so no step is counted"
