"""What the browser tests need: Chromium, playwright-core to drive it, and a newer frontend than the host's.

Where they cannot be had, the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from hosting.environments import hear, last_words, pip
from hosting.hosts import HOME, Host
from hosting.install import LOCK, set_up
from hosting.locks import locked
from hosting.steps import Attempt, Step
from terminal import Failure, say

FOLDER = HOME / "browser"
DRIVER = "playwright-core@1.65.1"
FRONTEND = "comfyui-frontend-package==1.58.1"
NEWER_FRONTEND = FOLDER / "frontend" / "comfyui_frontend_package" / "static"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
DEBIAN = ("chromium", "fonts-dejavu-core")
# Where installers put one that is not on the path; on Windows below the folders that these variables name.
MAC_APPLICATIONS = ("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium")
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_PROGRAMS = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")


@dataclass(frozen=True)
class Browser:
    """Programs and the folder of the driver's modules."""

    chromium: Path
    node: Path
    modules: Path


def ensure_browser(host: Host, allowed: bool) -> None:
    """Set up what is missing, Chromium itself only where that is allowed; says why where the tests will be skipped."""
    try:
        if not find_chromium():
            if not allowed:
                raise Failure("there is no Chromium; --with-browser installs it with apt-get where that is how it is done.")
            with locked(LOCK):
                _install_chromium()
        set_up(_steps(host))
    except Failure as failure:
        say(f"browser tests will be skipped: {failure}")


def find_browser() -> Browser | str:
    """What the tests drive, or why there is none."""
    chromium, node = find_chromium(), shutil.which("node")
    if not chromium:
        return f"there is no Chromium ({', '.join(NAMES)}) on this machine; scripts/test.py --with-browser installs it"
    if not node:
        return "there is no node on the path"
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        return f"playwright-core is not set up in {FOLDER}; scripts/test.py does that"
    return Browser(chromium, Path(node), FOLDER)


def find_chromium() -> Path | None:
    """Chromium or a browser built on it, on the path or where this system keeps its programs."""
    on_path = [Path(found) for name in NAMES if (found := shutil.which(name))]
    return next(iter([*on_path, *(program for program in _usual_places() if program.is_file())]), None)


def _usual_places() -> list[Path]:
    if sys.platform == "darwin":
        return [Path("/Applications") / program for program in MAC_APPLICATIONS]
    if sys.platform == "win32":
        folders = [Path(os.environ[name]) for name in WINDOWS_FOLDERS if name in os.environ]
        return [folder / program for folder in folders for program in WINDOWS_PROGRAMS]
    return []


def _steps(host: Host) -> list[Step]:
    return [
        Step("playwright-core for the browser tests", FOLDER / "driver", (DRIVER,), _install_driver, "10 MB, from npm"),
        Step("a newer frontend for the browser tests", FOLDER / "frontend" / "stamp", (FRONTEND,),
             lambda attempt: _fetch_frontend(host.python, attempt), "20 MB, from PyPI"),
    ]


def _install_chromium() -> None:
    """By Debian's package manager: the one thing that is installed outside of .comfyui/."""
    apt = shutil.which("apt-get")
    if sys.platform != "linux" or not apt or os.geteuid() != 0:
        raise Failure("there is no Chromium, and only root on Debian or Ubuntu can install it here; install Chrome or Chromium "
                      f"as your system does it (apt-get install {' '.join(DEBIAN)}).")
    say(f"To be installed on this machine with apt-get, about 300 MB: {', '.join(DEBIAN)} and what they need")
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
    code, said = hear(command, variables)
    if code:
        raise Failure(f"{' '.join(command[:2])} failed ({last_words(said)}).")
