"""Which kernels may serve a network, and where what a machine has found out about them is kept."""

from __future__ import annotations

import re
from pathlib import Path

import comfy.model_management as mm
import folder_paths
import torch

from ...show1_core.kernels import Trials
from ...show1_core.models.layout import lay_out
from ...show1_core.software import software
from .network import HostUNet
from .paths import PACK


def prove_kernels(unet: HostUNet, kernels: str, device: torch.device) -> None:
    """Say which kernels may serve; where they prove themselves, what was found out before is beside the user's settings."""
    unet.backend = kernels
    if kernels != "eager":
        lay_out(unet, device)
        file = Path(folder_paths.get_user_directory(), "show1_kernels.json")
        unet.trials = Trials(file if mm.is_device_cuda(device) else None, software(pack_version()))


def pack_version() -> str:
    """The version of this pack; nothing where its project file has been left out."""
    file = PACK / "pyproject.toml"
    found = re.search(r'^version = "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return found[1] if found else ""
