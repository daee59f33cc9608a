"""What the browser tests need: Chromium, playwright-core to drive it, and a newer frontend than the host's.

Where they cannot be had, the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hosts import HOME, Host
from steps import Attempt, Step, last_line, locked, pip, run_steps
from terminal import Failure, say

FOLDER = HOME / "browser"
DRIVER = "playwright-core@1.65.1"
FRONTEND = "comfyui-frontend-package==1.58.1"
NEWER_FRONTEND = FOLDER / "frontend" / "comfyui_frontend_package" / "static"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DEBIAN = ("chromium", "fonts-dejavu-core")


@dataclass(frozen=True)
class Browser:
    """Programs and the folder of the driver's modules."""

    chromium: Path
    node: Path
    modules: Path


def ensure_browser(host: Host) -> None:
    """Set up what is missing; says why where that is not possible."""
    steps = [
        Step("playwright-core for the browser tests", FOLDER / "driver", (DRIVER,), _install_driver),
        Step("a newer frontend for the browser tests", FOLDER / "frontend" / "stamp", (FRONTEND,),
             lambda attempt: _fetch_frontend(host.python, attempt)),
    ]
    try:
        if not _chromium():
            with locked(HOME / "setup.lock"):
                _install_chromium()
        if not all(step.is_done() for step in steps):
            with locked(HOME / "setup.lock"):
                run_steps(steps)
    except Failure as failure:
        say(f"browser tests will be skipped: {failure}")


def find_browser() -> Browser | str:
    """What the tests drive, or why there is none."""
    chromium, node = _chromium(), shutil.which("node")
    if not chromium:
        return f"there is no Chromium ({', '.join(NAMES)}) on the path"
    if not node:
        return "there is no node on the path"
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        return f"playwright-core is not set up in {FOLDER}; scripts/test.py does that"
    return Browser(Path(chromium), Path(node), FOLDER)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _install_chromium() -> None:
    apt = shutil.which("apt-get")
    if not apt or os.geteuid() != 0:
        raise Failure(f"there is no Chromium, and only root on Debian can install it here: apt-get install {' '.join(DEBIAN)}.")
    say("installing Chromium for the browser tests ...")
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "update", "-q"], quiet)
    _run([apt, "install", "-y", "-q", "--no-install-recommends", *DEBIAN], quiet)


def _install_driver(_attempt: Attempt) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise Failure("there is no npm to install playwright-core with; install Node.js.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    _run([npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(FOLDER), DRIVER], dict(os.environ))


def _fetch_frontend(python: Path, attempt: Attempt) -> None:
    """The package's files alone, beside the host's own frontend."""
    folder, part = NEWER_FRONTEND.parents[1], FOLDER / "frontend.part"
    shutil.rmtree(part, ignore_errors=True)
    pip(python, attempt, ["download", "--no-deps", "-d", str(part), FRONTEND])
    wheel = next(part.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(part)
    wheel.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _run(command: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise Failure(f"{' '.join(command[:2])} failed ({last_line(done.stdout + done.stderr)}).")
