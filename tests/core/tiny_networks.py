"""TorchScript networks that are called as the public ones are, with random weights; and short videos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Linear

SIDE = 32


class VideoNetwork(nn.Module):
    """Videos (B, 3, F, H, W) in 0..255 -> (B, D), as i3d_torchscript.pt is called."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.layer = Linear(24, dimensions)

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        assert rescale and resize and return_features
        return self.layer(nn.functional.adaptive_avg_pool3d(x / 127.5 - 1, [2, 2, 2]).reshape(x.shape[0], 24))


class PlainVideoNetwork(nn.Module):
    """Videos (B, 3, F, 224, 224) in -1..1 -> (B, D), as i3d_pretrained_400.pt is called."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.layer = Linear(24, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[3] == 224 and float(x.abs().max()) <= 1.0001  # resizing rounds
        return self.layer(nn.functional.adaptive_avg_pool3d(x, [2, 2, 2]).reshape(x.shape[0], 24))


class Classes(nn.Module):
    """Videos uint8 (B, 3, F, H, W) -> probabilities (B, 101), as c3d_ucf101.pt is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Linear(24, 101)

    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        pooled = nn.functional.adaptive_avg_pool3d(x.float() / 127.5 - 1, [2, 2, 2]).reshape(x.shape[0], 24)
        return torch.softmax(4 * self.layer(pooled), dim=1)


class PictureNetwork(nn.Module):
    """Pictures uint8 (N, 3, H, W) -> (N, D), as inception-2015-12-05.pt is called."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.layer = Linear(12, dimensions)

    def forward(self, img: Tensor, return_features: bool = False) -> Tensor:
        assert img.dtype == torch.uint8 and return_features
        return self.layer(nn.functional.adaptive_avg_pool2d(img.float() / 127.5 - 1, [2, 2]).reshape(img.shape[0], 12))


def write_networks(folder: Path, dimensions: int = 6) -> Path:
    """Every public TorchScript file, in small; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, module in (("i3d_torchscript", VideoNetwork(dimensions)), ("i3d_pretrained_400", PlainVideoNetwork(dimensions)),
                             ("c3d_ucf101", Classes()), ("inception-2015-12-05", PictureNetwork(dimensions))):
            torch.jit.script(module).save(str(folder / f"{name}.pt"))
    return folder


def frames_of(seed: int, count: int = 16) -> np.ndarray:
    """Frames uint8 (F, S, S, 3) of four flat quarters that change with time."""
    quarters = np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    return quarters.repeat(SIDE // 2, axis=1).repeat(SIDE // 2, axis=2)


def write_video(file: Path, frames: np.ndarray) -> None:
    """Frames as a video file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
        for packet in (packet for picture in (*pictures, None) for packet in stream.encode(picture)):
            container.mux(packet)


def write_videos(folder: Path, count: int, seed: int, broken: Iterable[int] = ()) -> Path:
    """A folder of short videos; those of the numbers in `broken` are cut off in the middle of the file."""
    for number in range(count):
        write_video(folder / f"{number:05}.mp4", frames_of(seed * 10**6 + number))
    for number in broken:
        file = folder / f"{number:05}.mp4"
        file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    return folder
