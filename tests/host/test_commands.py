"""The commands as a user runs them, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
from commands import command, is_sampling, run, wait_until
from driver import processes_naming
from hosting.hosts import REPO, Host

Json = dict[str, Any]


@pytest.mark.slow  # ten seconds: a host is started
def test_run_prints_a_line_for_each_file(host: Host, keyframes: Json, tmp_path: Path) -> None:
    done = run(keyframes, tmp_path, "--set", "*.seed=7", "--set", "Keyframes.frames=4")
    assert done.returncode == 0, done.stderr
    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) == 4
    assert all(file.is_file() and file.parent == tmp_path / "out" for file in files)
    assert "Keyframes" in done.stderr and "100%" in done.stderr
    assert processes_naming(str(tmp_path)) == []


@pytest.mark.slow  # a host is started
def test_run_takes_ui_format(host: Host, tmp_path: Path) -> None:
    done = run(UI_WORKFLOW, tmp_path, "--set", "A picture.batch_size=3")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.slow  # half a minute: the whole mini
def test_the_demo_ends_in_the_path_of_a_video(host: Host, tmp_path: Path) -> None:
    demo = [sys.executable, str(REPO / "scripts" / "demo.py"), "a red ball moving right", "--seed", "7"]
    done = subprocess.run([*demo, "--output", str(tmp_path)], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    video = Path(done.stdout.splitlines()[-1])
    assert video.suffix == ".mp4" and tmp_path in video.parents
    with av.open(str(video)) as container:
        assert len(list(container.decode(video=0))) == 29
        assert "a red ball moving right" in container.metadata["prompt"]


@pytest.mark.slow  # two processes import the host
def test_steps_in_the_host_are_timed_beside_another_commits(host: Host) -> None:
    times = [str(host.python), str(REPO / "benchmarks" / "before.py"), str(REPO), "--host", str(host.source), "--times", "2"]
    done = subprocess.run([*times, "--stage", "first-frame", "keyframes"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    *_, where, stage, before, now, ratio, _ = (cell.strip() for cell in done.stdout.splitlines()[-1].split("|"))
    assert (where, stage) == ("in ComfyUI", "keyframes") and before.endswith(" s") and now.endswith(" s")
    assert 0.4 < float(ratio) < 2.5, "a commit beside itself takes as long"


@pytest.mark.slow  # ten seconds: a host is started
def test_a_failing_node_gives_its_message_and_no_traceback(
    host: Host, keyframes: Json, tmp_path: Path
) -> None:
    done = run(keyframes, tmp_path, "--set", "Show1ModelLoader.model=show-1-sr1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Keyframes (node 5)" in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_naming(str(tmp_path)) == []


@pytest.mark.slow  # a host is started
def test_a_refused_workflow_names_the_node(host: Host, keyframes: Json, tmp_path: Path) -> None:
    done = run(keyframes, tmp_path, "--set", "Show1ModelLoader.model=not-there")
    assert done.returncode == 1
    assert "Show1ModelLoader (node 4)" in done.stderr and "not-there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # a host is started
def test_an_unknown_setting_lists_what_there_is(host: Host, keyframes: Json, tmp_path: Path) -> None:
    done = run(keyframes, tmp_path, "--set", "Keyframes.speed=2")
    assert done.returncode == 1
    assert "'speed'" in done.stderr and "steps" in done.stderr


@pytest.mark.slow  # a ComfyUI is copied, and compiled anew
def test_a_comfyui_of_the_users_own_is_used_and_left_untouched(
    host: Host, keyframes: Json, tmp_path: Path
) -> None:
    if not host.kept:
        pytest.skip("the tests are run with a ComfyUI of the user's own as it is")
    own = tmp_path / "own"
    shutil.copytree(host.source, own, ignore=shutil.ignore_patterns("__pycache__", "tests-unit"))
    before = sorted(own.rglob("*"))
    environment = os.environ | {"COMFYUI_PATH": str(own), "COMFYUI_PYTHON": str(host.python)}
    done = subprocess.run(
        command(keyframes, tmp_path), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 8
    assert sorted(own.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("number", [  # a host is started for each
    signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_nothing_is_left_behind_when_it_is_stopped(
    host: Host, keyframes: Json, tmp_path: Path, number: signal.Signals
) -> None:
    keyframes["5"]["inputs"]["steps"] = 900
    started = subprocess.Popen(
        command(keyframes, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: is_sampling(tmp_path / "out"))
    started.send_signal(number)
    _, said = started.communicate(timeout=20)
    assert started.returncode != 0
    assert "Traceback" not in said
    wait_until(lambda: processes_naming(str(tmp_path)) == [])


UI_WORKFLOW: Json = {
    "version": 0.4,
    "nodes": [
        {
            "id": 1,
            "type": "EmptyImage",
            "title": "A picture",
            "mode": 0,
            "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
            "widgets_values": [64, 32, 1, 255],
        },
        {
            "id": 2,
            "type": "ImageInvert",
            "mode": 4,
            "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}],
            "widgets_values": [],
        },
        {
            "id": 3,
            "type": "SaveImage",
            "mode": 0,
            "inputs": [{"name": "images", "type": "IMAGE", "link": 2}],
            "outputs": [],
            "widgets_values": ["ui"],
        },
        {"id": 4, "type": "Note", "mode": 0, "inputs": [], "outputs": [], "widgets_values": ["a note"]},
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
}
