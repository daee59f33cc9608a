"""How the frames of a clip reach each network, exactly: resizing is the largest difference between implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from . import networks
from .clip import ClipScorer
from .networks import Network

WINDOW = 16  # consecutive frames that video networks read
Run = Callable[[Tensor], Tensor]  # frames uint8 (F, H, W, 3) -> features (R, D)


@dataclass(frozen=True)
class Extractor:
    """A network with what happens to frames before it. `frames` are read of every clip, from its middle; None: all."""

    name: str
    network: Network
    preprocessing: str
    frames: int | None
    prepare: Callable[[Path, torch.device], Run]

    def described(self) -> str:
        """Which frames are read and what is done to them: two sets measured otherwise cannot be compared."""
        return f"{'all' if self.frames is None else f'the middle {self.frames}'} frames, {self.preprocessing}"

    def reading(self, frames: int) -> Extractor:
        """The same with another number of frames, unless it reads all of them."""
        return self if self.frames is None else replace(self, frames=frames)


def window(count: int, wanted: int | None) -> slice:
    """Which of a clip's frames are read. Raises ValueError when there are too few."""
    if wanted is None:
        return slice(0, count)
    if count < wanted:
        raise ValueError(f"it has {count} frames; {wanted} are read")
    start = (count - wanted) // 2
    return slice(start, start + wanted)


def as_video(frames: Tensor) -> Tensor:
    """Frames (F, H, W, 3) as one video (1, 3, F, H, W), as they are."""
    return rearrange(frames, "f h w c -> 1 c f h w")


def _script(path: Path, device: torch.device) -> nn.Module:
    return networks.load_script(path).to(device)


def _styleganv(path: Path, device: torch.device) -> Run:
    module = _script(path, device)
    return lambda frames: module(as_video(frames).to(device).float(), rescale=True, resize=True, return_features=True)


def _tats(path: Path, device: torch.device) -> Run:
    module = _script(path, device)

    def run(frames: Tensor) -> Tensor:
        pixels = rearrange(frames.to(device).float(), "f h w c -> f c h w")
        resized = F.interpolate(pixels, size=(224, 224), mode="bilinear", align_corners=False)
        return module(rearrange(resized * 2 / 255 - 1, "f c h w -> 1 c f h w"))

    return run


def _c3d(path: Path, device: torch.device) -> Run:
    module = _script(path, device)
    return lambda frames: module(as_video(frames).to(device))


def _inception(path: Path, device: torch.device) -> Run:
    if path.is_dir():
        return _inception_folder(path, device)
    module = _script(path, device)
    return lambda frames: module(rearrange(frames, "f h w c -> f c h w").to(device), return_features=True)


def _inception_folder(path: Path, device: torch.device) -> Run:
    """Any picture network of transformers whose output is pooled, at 299 x 299 in -1..1 as Inception-v3 reads it.

    Raises MissingNetwork for a damaged folder, and for a network of anything but pictures.
    """
    from transformers import AutoModel

    module: Any = networks.load_folder(AutoModel, path, "picture network").to(device)
    if module.main_input_name != "pixel_values":
        raise networks.MissingNetwork(f"{path} holds a {module.config.model_type} that reads {module.main_input_name}; expected "
                                      "a network of pictures, whose output is pooled.")

    def run(frames: Tensor) -> Tensor:
        pixels = rearrange(frames.to(device).float(), "f h w c -> f c h w")
        resized = F.interpolate(pixels, size=(299, 299), mode="bilinear", align_corners=False)
        pooled = getattr(module(pixel_values=resized * 2 / 255 - 1), "pooler_output", None)
        if pooled is None:
            raise ValueError(f"the {module.config.model_type} in {path} does not pool its output")
        return pooled.flatten(1)

    return run


class ClipRun:
    """CLIP as an extractor; `texts` encodes the prompts that its frames are compared with."""

    def __init__(self, path: Path, device: torch.device) -> None:
        scorer = ClipScorer.from_folder(path)
        scorer.network.to(device)
        self.scorer, self.texts = scorer, scorer.texts

    def __call__(self, frames: Tensor) -> Tensor:
        return self.scorer.frames(frames.float() / 255)


_BY_NETWORK = "0..255, scaled and resized by the network"
EXTRACTORS = {extractor.name: extractor for extractor in (
    Extractor("i3d-styleganv", networks.I3D_STYLEGANV, _BY_NETWORK, WINDOW, _styleganv),
    Extractor("i3d-tats", networks.I3D_TATS, "bilinear without antialias to 224x224, -1..1", WINDOW, _tats),
    Extractor("c3d", networks.C3D, _BY_NETWORK, WINDOW, _c3d),
    Extractor("inception", networks.INCEPTION, "as pictures, to 299x299", WINDOW, _inception),
    Extractor("clip", networks.CLIP, "shorter side bicubic to CLIP's size, centre cut, 8 bits", None, ClipRun),
)}
