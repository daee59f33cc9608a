"""Which ComfyUI the commands use, and where everything they keep lies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from terminal import Failure

from .environments import python_of
from .processes import become

REPO = Path(__file__).resolve().parents[2]
HOME = REPO / ".comfyui"
SOURCE = HOME / "ComfyUI"
VENV = HOME / "venv"
TOOLS = HOME / "tools"
TEST_TOOLS = HOME / "test-tools"
BASE = HOME / "base"
MODELS = HOME / "models"
LOGS = HOME / "logs"
PACK_FOLDER = "show-1"
FLOOR = (0, 3, 75)
NEEDED = ("torch", "torchvision", "aiohttp", "av", "psutil", "safetensors", "transformers")

# Asks a Python which it is and which of the named distributions it lacks.
_ASK = """
import importlib.metadata as m, json, sys
have = {(d.metadata["Name"] or "").lower().replace("_", "-") for d in m.distributions()}
print(json.dumps([sys.executable, [n for n in sys.argv[1:] if n.lower().replace("_", "-") not in have]]))
"""


@dataclass(frozen=True)
class Host:
    """A ComfyUI that can be started."""

    source: Path
    python: Path
    kept: bool


def kept_host() -> Host:
    """The ComfyUI under .comfyui/, whether it is set up yet or not."""
    return Host(SOURCE, python_of(VENV), kept=True)


def own_host() -> Host | None:
    """The user's ComfyUI that COMFYUI_PATH names; None when it names none."""
    named = os.environ.get("COMFYUI_PATH", "")
    if not named:
        return None
    source = Path(named).expanduser().resolve()
    if not (source / "main.py").is_file():
        raise Failure(
            f"COMFYUI_PATH is {named}, but there is no main.py in it; set it to the folder of a ComfyUI."
        )
    _check_version(source)
    return Host(source, _check_python(_python_of(source)), kept=False)


def requirements() -> list[str]:
    """The lines of the pack's requirements.txt that name a package."""
    file = REPO / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def has_pack(source: Path) -> bool:
    """Whether a ComfyUI already has this pack in its custom_nodes (a clone, a copy or a link)."""
    nodes = source / "custom_nodes"
    folders = [entry for entry in nodes.iterdir() if entry.is_dir()] if nodes.is_dir() else []
    enabled = [entry for entry in folders if not entry.name.endswith(".disabled")]
    return any(entry.resolve() == REPO or (entry / "show1_core").is_dir() for entry in enabled)


def environment(host: Host) -> dict[str, str]:
    """The environment a host's Python is run in.

    What the kept one compiles is kept in .comfyui/, whatever the user's shell says about bytecode;
    not a byte is written into a ComfyUI that is not ours. Threads that wait sleep rather than spin:
    on a CPU that is busy with something else as well, spinning makes torch up to twenty times slower.
    """
    rest = {"OMP_WAIT_POLICY": "passive"} | os.environ
    rest.pop("PYTHONDONTWRITEBYTECODE", None)
    if host.kept:
        return rest | {"PYTHONPYCACHEPREFIX": str(HOME / "pycache")}
    return rest | {"PYTHONDONTWRITEBYTECODE": "1"}


def continue_under(host: Host) -> None:
    """Carry on with this same command under the host's Python; returns at once when it is this one."""
    if os.path.normcase(sys.executable) == os.path.normcase(host.python):
        return
    become([str(host.python), *sys.argv], environment(host))


def _check_version(source: Path) -> None:
    file = source / "comfyui_version.py"
    found = re.search(r'"(\d+)\.(\d+)\.(\d+)', file.read_text(encoding="utf-8")) if file.is_file() else None
    if not found or tuple(map(int, found.groups())) < FLOOR:
        have = ".".join(found.groups()) if found else "older than 0.3"
        raise Failure(f"the ComfyUI in {source} is {have}, but 0.3.75 or newer is needed; update it.")


def _python_of(source: Path) -> str:
    """COMFYUI_PYTHON, else the environment that lies with the ComfyUI, else the running Python."""
    named = os.environ.get("COMFYUI_PYTHON", "")
    if named:
        return named
    portable = source.parent / "python_embeded" / "python.exe"
    places = [python_of(source / ".venv"), python_of(source / "venv"), portable]
    return next((str(place) for place in places if place.is_file()), sys.executable)


def _check_python(python: str) -> Path:
    """The Python's own name for itself, after checking that it has what a ComfyUI and this pack need."""
    names = [*NEEDED, *(re.split(r"[^A-Za-z0-9._-]", line)[0] for line in requirements())]
    try:
        asked = subprocess.run([python, "-c", _ASK, *names], capture_output=True, encoding="utf-8", errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(
            f"the Python of your ComfyUI, {python}, does not run ({error}); "
            "set COMFYUI_PYTHON to the Python that runs ComfyUI."
        ) from error
    executable, missing = json.loads(asked.stdout)
    if missing:
        raise Failure(
            f"the Python of your ComfyUI, {python}, lacks {', '.join(missing)}; "
            "set COMFYUI_PYTHON to the Python that runs ComfyUI, or install them there with its pip."
        )
    return Path(executable)
