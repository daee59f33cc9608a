"""Sets up what tests/install needs: ComfyUI-Manager, comfy-cli and comfy-test in an environment of their own.

They are what a user installs the pack with and what the registry checks it with; about 600 MB, so
nothing but those tests asks for them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hosts import HOME
from steps import Attempt, Step, last_line, locked, pip, run_steps
from terminal import Failure

INSTALL_TOOLS = HOME / "install-tools"
# aiohttp and pyyaml are imported by Manager but not listed by it; ruff is what `comfy node validate` calls; vermin finds
# what a Python is too old for.
PACKAGES = ("comfyui-manager==4.3", "comfy-cli==1.23.0", "comfy-test==0.4.15", "aiohttp", "pyyaml", "ruff", "vermin")


def ensure_install_tools() -> Path:
    """The folder of their programs, set up as far as it is not."""
    step = Step("installation tools", INSTALL_TOOLS / "stamp", (*PACKAGES, sys.version), _install)
    if not step.is_done():
        with locked(HOME / "setup.lock"):
            run_steps([step])
    return INSTALL_TOOLS / ("Scripts" if os.name == "nt" else "bin")


def _install(attempt: Attempt) -> None:
    """A fresh environment each time: a half-made one is not worth mending."""
    shutil.rmtree(INSTALL_TOOLS, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(INSTALL_TOOLS)], capture_output=True, text=True)
    if made.returncode:
        raise Failure(f"{sys.executable} cannot make a virtual environment ({last_line(made.stdout + made.stderr)}).")
    inside = INSTALL_TOOLS / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip(inside, attempt, ["install", "--no-compile", *PACKAGES])
