"""Which build of torch the kept ComfyUI gets: for NVIDIA cards, for the CPU alone, or whatever another index offers."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from terminal import Failure

from .environments import pip, versions_offered
from .steps import Attempt

TORCH_VERSION = "2.13.0"
TORCH, TORCHVISION = f"torch=={TORCH_VERSION}", "torchvision==0.28.0"
CPU_BUILD = "+cpu"  # how a version is marked that is for the CPU alone
VARIABLE = "SHOW1_TORCH_INDEX"
DECLARATION = Path(__file__).with_name("declare_torchvision.py")
LINUX_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class TorchBuild:
    """Where torch comes from: `index` is an address to ask in place of pip's own, empty for pip's own."""

    index: str = ""

    @property
    def about(self) -> str:
        """Size and source, for the user to read before it is downloaded."""
        if self.index:
            return f"the build of {self.index}, 0.2 to 3 GB"
        if not is_cpu_enough():
            return "for NVIDIA cards, 3 GB (6 GB on the disk), from PyPI" if sys.platform == "linux" else "0.2 GB, from PyPI"
        return (f"no NVIDIA driver is here: the CPU build, 0.2 GB, where your package index offers one, else that for NVIDIA "
                f"cards, 3 GB (6 GB on the disk), from PyPI; --torch-index URL or {VARIABLE} takes another build")

    def install(self, python: Path, attempt: Attempt, options: list[str]) -> None:
        """Install torch, and what the host's packages build on."""
        where = self._where()
        wanted = TORCH
        if not self.index and is_cpu_enough() and TORCH_VERSION + CPU_BUILD in versions_offered(python, "torch"):
            wanted += CPU_BUILD
        pip(python, attempt, ["install", *options, *where, wanted, "numpy", "pillow"])

    def install_vision(self, python: Path, attempt: Attempt, options: list[str]) -> None:
        """Install torchvision by itself: what it needs is there."""
        pip(python, attempt, ["install", *options, *self._where(), "--no-deps", TORCHVISION])
        asked = subprocess.run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                               capture_output=True, text=True, check=True)
        packages = Path(asked.stdout.strip())
        shutil.copy(DECLARATION, packages / f"show1_{DECLARATION.name}")
        line = f"import show1_{DECLARATION.stem} as it; it.install()\n"  # Python runs such lines of .pth files at its start
        (packages / "show1.pth").write_text(line, encoding="utf-8")

    def _where(self) -> list[str]:
        """pip's words for the index; another build of the same version is not the one that may be there."""
        return ["--index-url", self.index, "--force-reinstall"] if self.index else []


def chosen_build(named: str, memory: Path) -> TorchBuild:
    """The build that is named, by the command line or the environment; else the one that was named last time."""
    index = named or os.environ.get(VARIABLE, "")
    if index and not re.match(r"(https?|file)://", index):
        raise Failure(f"the index for torch is {index!r}; expected an address, such as https://download.pytorch.org/whl/cu126.")
    if not index and memory.is_file():
        index = memory.read_text(encoding="utf-8")
    return TorchBuild(index.rstrip("/"))


def add_torch_index(parser: argparse.ArgumentParser) -> None:
    """The option of every command that sets up."""
    parser.add_argument("--torch-index", default="", metavar="URL",
                        help=f"a package index to take torch from, such as https://download.pytorch.org/whl/cpu (or {VARIABLE})")


def is_cpu_enough() -> bool:
    """Whether the ordinary build would bring gigabytes for a card that is not there; only Linux has such a one on PyPI."""
    return sys.platform == "linux" and not has_nvidia_driver()


def has_nvidia_driver() -> bool:
    """Whether this machine has the driver of an NVIDIA card."""
    return shutil.which("nvidia-smi") is not None or LINUX_DRIVER.is_file()
