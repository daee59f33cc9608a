"""The types hold on every platform: what one system alone has stands behind a look at `sys.platform`."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# Its own program is fetched once, into the folder that the commands keep.
ENVIRONMENT = os.environ | {"PYRIGHT_PYTHON_CACHE_DIR": str(REPO / ".comfyui" / "pyright"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}


@pytest.mark.slow  # half a minute of one core for each platform
@pytest.mark.parametrize("platform", ["Linux", "Windows", "Darwin"])
def test_types_hold(platform: str) -> None:
    if find_spec("pyright") is None:
        pytest.skip("this Python has no pyright; scripts/test.py installs it")
    command = [sys.executable, "-m", "pyright", "--pythonplatform", platform, "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=REPO, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
