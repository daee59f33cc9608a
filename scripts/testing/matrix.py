"""A part of the tests with the oldest and the newest versions that the pack promises, each row in an environment of its own.

Varied is what this machine and its package index offer: the Pythons that are installed, the CPU builds of torch, and diffusers
from the lower bound of requirements.txt to the newest. The host itself is varied by COMFYUI_PATH, which the other tests take.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hosting.environments import hear, make_environment, pip, python_of, versions_offered
from hosting.hosts import HOME, REPO, requirements
from hosting.install import set_up
from hosting.steps import Attempt, Step
from hosting.torch_build import CPU_BUILD, TORCH, is_cpu_enough
from terminal import say

FOLDER = HOME / "matrix"
PROMISED = ("3.10", "3.11", "3.12", "3.13", "3.14")
PACKAGES = ("numpy", "pillow", "einops", "safetensors", "transformers>=4.50.3", "psutil", "scipy", "pytest", "hypothesis")
TESTS = ("test_schedule.py", "test_unet.py", "test_unet_against_diffusers.py", "test_cascade.py", "test_checkpoints.py",
         "test_properties.py", "test_import.py")


@dataclass(frozen=True)
class Row:
    """One environment: a Python and what is installed for it."""

    name: str
    python: Path
    packages: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    def step(self) -> Step:
        """Its set-up."""
        made_from = (str(self.python), *self.packages, *PACKAGES)
        return Step(f"environment {self.name}", self.folder / "stamp", made_from, self._install,
                    f"1.5 GB in {self.folder}: {self.python}, {', '.join(self.packages)}")

    def _install(self, attempt: Attempt) -> None:
        pip(make_environment(self.python, self.folder), attempt, ["install", "--no-compile", *self.packages, *PACKAGES])


def run_matrix(arguments: list[str]) -> int:
    """Run the tests in every row; 0 when all pass."""
    table = rows()
    set_up([row.step() for row in table])
    failed = []
    for row in table:
        say(f"{row.name}: {', '.join(row.packages)}")
        files = [str(REPO / "tests" / "core" / name) for name in TESTS]
        command = [str(python_of(row.folder)), "-m", "pytest", "-q", "-m", "not slow", *files, *arguments]
        if subprocess.run(command, cwd=REPO, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}).returncode:
            failed.append(row.name)
    say(f"failed with: {', '.join(failed)}" if failed else f"passed with all of: {', '.join(row.name for row in table)}")
    return 1 if failed else 0


def rows() -> list[Row]:
    """Oldest with oldest, newest with newest; of the Pythons those that the index has a CPU build of torch for, if any."""
    found = pythons()
    light = {version: python for version, python in found.items() if torch_builds(python) != [TORCH]}
    versions = sorted(light or found)
    old, new = found[versions[0]], found[versions[-1]]
    diffusers = next(line for line in requirements() if line.startswith("diffusers"))
    return [
        Row("oldest", old, (torch_builds(old)[-1], diffusers.replace(">=", "=="))),
        Row("newest", new, (torch_builds(new)[0], "diffusers")),
    ]


def pythons() -> dict[tuple[int, int], Path]:
    """The promised Pythons on this machine, by their version: on the path, or kept by pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {sys.version_info[:2]: Path(sys.executable)}
    for version in PROMISED:
        kept = [folder / "bin" / "python" for folder in sorted(root.glob(f"{version}.*"))]
        program = shutil.which(f"python{version}")
        for python in [*kept, *([Path(program)] if program else [])]:
            major, minor = version.split(".")
            if python.is_file() and _runs(python, version):
                found.setdefault((int(major), int(minor)), python)
    return found


def torch_builds(python: Path) -> list[str]:
    """The builds for the CPU that the index offers, the newest first; else the one that is set up."""
    offered = [version for version in versions_offered(python, "torch") if version.endswith(CPU_BUILD)] if is_cpu_enough() else []
    return [f"torch=={version}" for version in offered] or [TORCH]


def _runs(python: Path, version: str) -> bool:
    """Whether it is what its name says: pyenv leaves programs on the path that do not start."""
    command = [str(python), "-c", "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"]
    return hear(command) == (0, version + "\n")
