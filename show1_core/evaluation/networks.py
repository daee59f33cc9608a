"""The public networks behind the metrics: which file each is, where people get it, and where it belongs.

Nothing is downloaded. A network is a file or a folder in the user's folder of networks, known by its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..digests import sha256_of

WEIGHTS = (".safetensors", ".bin", ".pt")


class MissingNetwork(ValueError):
    """A network's file or folder is not there, or cannot be read; the text is one sentence."""


@dataclass(frozen=True)
class Network:
    """A network by the names its file or folder may have, and where people get it."""

    title: str
    names: tuple[str, ...]
    source: str


I3D_STYLEGANV = Network(
    "I3D for FVD as in StyleGAN-V", ("i3d_torchscript.pt",),
    "linked in src/metrics/frechet_video_distance.py of github.com/universome/stylegan-v")
I3D_TATS = Network(
    "I3D for FVD as in TATS", ("i3d_pretrained_400.pt",),
    "weights in tats/fvd of github.com/SongweiGe/TATS, traced to TorchScript as docs/evaluation.md says")
C3D = Network(
    "C3D for the Inception score of videos", ("c3d_ucf101.pt",),
    "linked in src/metrics/video_inception_score.py of github.com/universome/stylegan-v")
INCEPTION = Network(
    "Inception-v3 for FID", ("inception-2015-12-05.pt", "inception"),
    "the .pt linked in metrics/frechet_inception_distance.py of github.com/NVlabs/stylegan2-ada-pytorch, not stylegan3's .pkl; "
    "or a folder in the layout of transformers")
CLIP = Network(
    "CLIP", ("clip-vit-base-patch32", "clip"), "the files of openai/clip-vit-base-patch32 on huggingface.co, in a folder")


def find(network: Network, folder: Path) -> Path:
    """The network's file or folder. Raises MissingNetwork."""
    for name in network.names:
        if (folder / name).exists():
            return folder / name
    names = " or ".join(network.names)
    raise MissingNetwork(f"{network.title} is not in {folder}; get it ({network.source}) and put it there as {names}.")


def load_script(path: Path) -> nn.Module:
    """A TorchScript file, for inference on the CPU. Raises MissingNetwork for any other file."""
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:  # ValueError: it is a folder
        reason = str(error).strip().splitlines()[0]
        raise MissingNetwork(f"{path} is no TorchScript file ({reason}); expected a network saved by torch.jit.save, as "
                              "docs/evaluation.md says.") from error


def load_folder(model_class: Any, folder: Path, title: str) -> nn.Module:
    """A network of transformers from its folder alone, for inference in float32 on the CPU. Raises MissingNetwork."""
    from safetensors import SafetensorError

    try:
        model, about = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise MissingNetwork(unreadable(folder, title, error)) from error
    if about["missing_keys"]:  # which transformers would leave random
        count = len(about["missing_keys"])
        raise MissingNetwork(f"the {title} in {folder} lacks {count} of its tensors; download the whole folder again.")
    return model.float().eval()


def unreadable(folder: Path, title: str, error: Exception) -> str:
    """The sentence for a folder that transformers cannot read."""
    reason = str(error).strip().splitlines()[0].removesuffix(".")
    return f"the {title} in {folder} cannot be read ({reason}); download the whole folder again."


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's weight files in order of name, in hexadecimal."""
    return sha256_of(*([path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in WEIGHTS)))
