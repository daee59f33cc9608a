"""From a published folder or a single file to a UNet: find the weights, read them safely, say which stage they are.

A folder is the hub's layout: `show-1-base/` with `unet/`, `scheduler/`, ... or its `unet/` alone. A single file is a
`.safetensors` whose metadata carries the config under `show1`. Nothing in a file is executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .models.config import UNetConfig
from .models.config_check import ConfigError
from .models.layout import lay_out
from .models.unet import UNet
from .schedule import Schedule
from .stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, NOISING, PIXEL_SR, STAGES, Stage
from .weights import LARGEST_JSON, CheckpointError, find_weights, first_line, read_json, read_metadata, read_tensors

METADATA_KEY = "show1"
RECORD = "show1.record"  # a file that a host saved has no room for metadata; there the same text is a tensor of bytes
SAVED_PREFIX = "model.diffusion_model."
SD_LATENT_SCALE = 0.18215

# configs beside a published unet/ that change how it is run
PARTS = {
    "scheduler": "scheduler/scheduler_config.json",
    "image_noising_scheduler": "image_noising_scheduler/scheduler_config.json",
    "vae": "vae/config.json",
}

# what a state dict is when one of its names contains the mark; the first that fits
UMT5 = "a UMT5 text encoder, of Wan"
FOREIGN: tuple[tuple[str, str], ...] = (
    ("lora_", "a LoRA, which goes on top of a model"),
    (".lora", "a LoRA, which goes on top of a model"),
    ("model.diffusion_model.", "a Stable Diffusion checkpoint"),
    ("input_blocks.", "a Stable Diffusion UNet"),
    ("double_blocks.", "a diffusion transformer"),
    (".block.1.layer.0.SelfAttention.relative_attention_bias.", UMT5),  # of T5's blocks the first alone has one
    ("encoder.block.", "a T5 text encoder"),
    ("text_model.", "a CLIP text encoder"),
    ("decoder.up_blocks.", "a VAE in the published layout"),
    ("decoder.up.", "a VAE"),
    ("temp_convs.", "a UNet of Show-1"),
)


class ForeignFile(CheckpointError):
    """A file of another kind than asked for; `what` says which."""

    def __init__(self, path: str, what: str, expected: str) -> None:
        super().__init__(f"{path} is {what}; expected {expected}.")
        self.what = what


@dataclass(frozen=True)
class Identity:
    """What a UNet on disk is: its numbers, its stage, and the schedules it is run with."""

    source: Path
    config: UNetConfig
    stage: Stage
    schedule: Schedule
    noising: Schedule  # of the super-resolution models' condition
    latent_scale: float  # from the VAE's latents to the UNet's
    record: str  # the configs all this was read from, as JSON: what a single file carries


@dataclass(frozen=True)
class Checkpoint:
    """A UNet on disk, read."""

    identity: Identity
    tensors: dict[str, Tensor]


def stage_of(config: UNetConfig) -> Stage | None:
    """Which stage a UNet of this config serves; None when it is none of Show-1's five."""
    return {
        (True, 3, False): KEYFRAMES,
        (True, 7, False): INTERPOLATION,
        (False, 6, True): FIRST_FRAME,
        (True, 6, True): PIXEL_SR,
        (True, 4, False): LATENT_SR,
    }.get((config.temporal, config.in_channels, config.takes_noise_level))


def load_unet(path: str | Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu",
              operations: ModuleType | Any = torch.nn) -> UNet:
    """A UNet ready to call, from a published `unet/` folder, the folder around it, or a converted single file.

    Raises CheckpointError in one sentence for anything that is not a complete Show-1 UNet.
    """
    checkpoint = read_checkpoint(path)
    unet = UNet(checkpoint.identity.config, dtype=dtype, device="meta", operations=operations)
    unet.load_state_dict({name: tensor.to(device, dtype) for name, tensor in checkpoint.tensors.items()}, assign=True)
    lay_out(unet, device)
    return unet.eval().requires_grad_(False)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a Show-1 UNet whole and check it: stage, names and shapes. Raises CheckpointError in one sentence."""
    path = Path(path)
    if path.is_dir():
        return assemble(path, *read_configs(path), read_tensors(find_weights(unet_folder(path), "diffusion_pytorch_model")))
    if not path.is_file():  # nor is a pipe one, which would never end
        raise CheckpointError(f"{path} is no file and no folder; expected a Show-1 folder (such as show-1-base) or a "
                              ".safetensors file.")
    return assemble(path, *read_single(path))


def read_identity(folder: str | Path) -> Identity:
    """What the configs of a published folder say, without its weights. Raises CheckpointError."""
    return identify(Path(folder), *read_configs(Path(folder)))


def unet_folder(path: Path) -> Path:
    """The unet/ of a published folder, or the folder itself where it is one."""
    return path / "unet" if (path / "unet").is_dir() else path


def read_configs(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The UNet's config of a published folder, and those of its neighbours. Raises CheckpointError."""
    unet = unet_folder(path)
    parts = {name: read_json(unet.parent / file) for name, file in PARTS.items() if (unet.parent / file).is_file()}
    return read_json(unet / "config.json"), parts


def read_single(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """The UNet's config, those of its neighbours, and the tensors of a single file. Raises CheckpointError."""
    text, tensors = read_metadata(path).get(METADATA_KEY), read_tensors([path])
    if text is None and RECORD in tensors:
        text = record_text(path, tensors[RECORD])
        # whatever else the host saved along, such as a VAE, has loaders of its own
        tensors = {name.removeprefix(SAVED_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(SAVED_PREFIX)}
    if text is None:
        raise ForeignFile(path.name, foreign(tensors), "a Show-1 file made by scripts/convert.py")
    try:
        record = json.loads(text)
        return dict(record["unet"]), {name: dict(record[name]) for name in PARTS if name in record}, tensors
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has unreadable Show-1 metadata ({first_line(error)}); convert it again.") from error


def record_tensor(identity: Identity) -> Tensor:
    """What `read_single` needs to know, as a tensor of bytes to be saved under the name `RECORD`."""
    return torch.tensor(list(identity.record.encode()), dtype=torch.uint8)


def record_text(path: Path, record: Tensor) -> str:
    """What `record_tensor` was made of. Raises CheckpointError for what cannot be it."""
    if record.dtype != torch.uint8 or record.numel() > LARGEST_JSON:
        raise CheckpointError(f"{path.name} has a {RECORD} of {record.numel()} {record.dtype}; expected bytes, some thousand. "
                              "Save or download it again.")
    return bytes(record.flatten().tolist()).decode(errors="replace")


def assemble(path: Path, config: dict[str, Any], parts: dict[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    """Put the parts together and refuse what does not fit. Raises CheckpointError."""
    identity = identify(path, config, parts)
    check_tensors(path, identity.stage, identity.config, tensors)
    return Checkpoint(identity, tensors)


def identify(path: Path, config: dict[str, Any], parts: dict[str, Any]) -> Identity:
    """What the configs say. Raises CheckpointError for those of no stage."""
    try:
        numbers = UNetConfig.from_dict(config)
        schedules = {name: Schedule.from_dict(record) for name, record in parts.items() if name != "vae"}
        latent_scale = float(parts.get("vae", {}).get("scaling_factor", SD_LATENT_SCALE))
        if not 0 < latent_scale < float("inf"):
            raise ValueError(f"the vae's scaling_factor is {latent_scale}; expected a number above 0")
    except (ConfigError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: {first_line(error)}") from error
    stage = stage_of(numbers)
    if stage is None:
        known = ", ".join(known.checkpoint for known in STAGES)
        raise CheckpointError(f"{path} is a UNet of {numbers.in_channels} input channels that is none of Show-1's ({known}).")
    schedule, noising = schedules.get("scheduler", stage.schedule), schedules.get("image_noising_scheduler", NOISING)
    return Identity(path, numbers, stage, schedule, noising, latent_scale, json.dumps({"unet": config, **parts}))


def check_tensors(path: Path, stage: Stage, config: UNetConfig, tensors: dict[str, Tensor]) -> None:
    """Compare names and shapes with the UNet the config describes. Raises CheckpointError."""
    try:
        expected = {name: tuple(tensor.shape) for name, tensor in UNet(config, device="meta").state_dict().items()}
    except (ValueError, RuntimeError, ZeroDivisionError) as error:  # channels that groups or heads do not divide
        raise CheckpointError(f"{path} has a config.json of no network ({first_line(error)}); download it again.") from error
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if len(missing) > len(expected) // 2:
        raise ForeignFile(f"{path} has the config of {stage.title}, but its weights file", foreign(tensors), "the UNet's")
    if missing or unexpected:
        raise CheckpointError(f"{path} is not a whole copy of {stage.title}: {count(missing, 'tensor')} missing"
                              f"{example(missing)}, {count(unexpected, 'tensor')} too many{example(unexpected)}; "
                              "download it again.")
    wrong = [name for name, shape in expected.items() if tuple(tensors[name].shape) != shape]
    if wrong:
        name = wrong[0]
        raise CheckpointError(f"{path} does not fit its config.json: {count(wrong, 'tensor')} of another shape, such as {name} "
                              f"{tuple(tensors[name].shape)} where {expected[name]} belongs.")


def foreign(names: Iterable[str]) -> str:
    """In words, what a state dict with these names is."""
    names = list(names)
    for mark, what in FOREIGN:
        if any(mark in name for name in names):
            return what
    return f"something unknown, beginning with {names[0][:80]!r}" if names else "empty"


def count(items: list[str], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def example(items: list[str]) -> str:
    return f" (such as {items[0][:80]})" if items else ""
