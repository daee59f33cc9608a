"""Tests that need the host's classes rather than its server, in a process where the host comes first on the path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hosting.hosts import MODELS, Host

INSIDE = Path(__file__).parent / "inside"


def test_inside_the_host(host: Host, pytestconfig: pytest.Config) -> None:
    command = [str(host.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "pytest.ini", "--rootdir", ".", "."]
    command += ["-m", pytestconfig.getoption("-m")]  # the same size of a test run
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    environment = threads | {"PATH": "", "SHOW1_HOST": str(host.source), "SHOW1_MODELS": str(MODELS / "show1")}
    done = subprocess.run(command, cwd=INSIDE, env=environment, text=True, capture_output=True)
    sys.stdout.write(done.stdout[-20000:])  # what failed, and why
    assert done.returncode == 0, done.stderr[-2000:]
