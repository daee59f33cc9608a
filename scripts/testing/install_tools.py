"""Sets up what tests/install needs: ComfyUI-Manager, comfy-cli and comfy-test in an environment of their own.

They are what a user installs the pack with and what the registry checks it with; about 600 MB, so
nothing but those tests asks for them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hosting.environments import make_environment, pip, python_of
from hosting.hosts import HOME
from hosting.install import set_up
from hosting.steps import Attempt, Step

INSTALL_TOOLS = HOME / "install-tools"
# aiohttp and pyyaml are imported by Manager but not listed by it; ruff is what `comfy node validate` calls; vermin finds
# what a Python is too old for.
PACKAGES = ("comfyui-manager==4.3", "comfy-cli==1.23.0", "comfy-test==0.4.15", "aiohttp", "pyyaml", "ruff", "vermin")


def ensure_install_tools() -> Path:
    """The folder of their programs, set up as far as it is not."""
    about = "600 MB, ComfyUI-Manager, comfy-cli and comfy-test from PyPI"
    set_up([Step("installation tools", INSTALL_TOOLS / "stamp", (*PACKAGES, sys.version), _install, about)])
    return python_of(INSTALL_TOOLS).parent


def _install(attempt: Attempt) -> None:
    """A fresh environment each time: a half-made one is not worth mending."""
    pip(make_environment(sys.executable, INSTALL_TOOLS), attempt, ["install", "--no-compile", *PACKAGES])
