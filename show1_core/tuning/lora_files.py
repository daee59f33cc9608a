"""Adapters as files: names that loaders of LoRA know, and a record of what was learnt from what on which model.

`diffusion_model.<layer>.lora_down.weight`, `.lora_up.weight`, or `.diff` for a whole matrix. Files in diffusers' naming
(`unet.<layer>.lora_A.weight`, `lora.down.weight`) or kohya's (`lora_unet_<layer, with _ for .>.lora_up.weight`) are read
too. The record is the file's metadata; where a program saves tensors alone it travels as one more tensor, of bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints import Identity
from ..models.unet import UNet
from ..weights import LARGEST_JSON, CheckpointError, read_metadata, read_safetensors, replacing
from .adapters import Adapters, LowRank, Whole, new_adapters, weight_of
from .motion import Plan

PREFIX, RECORD = "diffusion_model.", "show1.lora"
FOREIGN_PREFIXES = (PREFIX, "unet.", "base_model.model.")
BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")  # how the name of a layer begins in files without a prefix
FLAT_PREFIX = "lora_unet_"
# endings of other programs, by ours
ENDINGS = {"lora_down.weight": ("lora_down.weight", "lora_A.weight", "lora.down.weight", "lora_A.default.weight"),
           "lora_up.weight": ("lora_up.weight", "lora_B.weight", "lora.up.weight", "lora_B.default.weight"),
           "alpha": ("alpha",), "diff": ("diff",)}
ENDING = re.compile("|".join(rf"(?P<{ours.split('.')[0]}>\.(?:{'|'.join(map(re.escape, theirs))})$)"
                             for ours, theirs in ENDINGS.items()))
NO_LORA = ("lora holds no LoRA of known names (such as diffusion_model.<layer>.lora_up.weight); take the file of a training of "
           "this model, or one in diffusers' naming.")
SIGNS = 256  # weights whose signs tell one model from another; rounding to any dtype keeps them


@dataclass(frozen=True)
class Record:
    """What adapters are: `base` is the model's fingerprint, `frames` the hash of what was learnt from."""

    base: str = ""
    stage: str = ""
    train: str = ""
    loss: str = ""
    steps: int = 0
    learning_rate: float = 0.0
    rank: int = 0
    seed: int = 0
    prompt: str = ""
    frames: str = ""
    losses: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, text: str | None) -> Record:
        """What a file says of itself; a new record when it says nothing, or what is none."""
        try:
            kinds: dict[str, Any] = {name: type(value) for name, value in asdict(cls()).items()}
            told: dict[str, Any] = dict(json.loads(text or "{}"))
            return cls(**{name: kinds[name](value) for name, value in told.items() if name in kinds})
        except (ValueError, TypeError, RecursionError):
            return cls()


def new_record(identity: Identity, unet: UNet, plan: Plan, prompt: str, clip: Tensor) -> Record:
    """What a training by this plan is going to be, before its first step."""
    return Record(fingerprint(identity, unet), identity.stage.name, plan.train, plan.loss, 0, plan.learning_rate, plan.rank,
                  plan.seed, prompt, hash_of(clip))


def adapters_to_train(tensors: Mapping[str, Tensor], unet: UNet, plan: Plan) -> Adapters:
    """Adapters of a file's tensors to go on from; new ones where there are none. Raises ValueError for what does not fit."""
    return adapters_from(tensors, unet) if tensors else new_adapters(unet, plan.train, plan.rank, plan.seed)


def fingerprint(identity: Identity, unet: UNet) -> str:
    """A name for a base model that its dtype does not change: of its sizes, and of the signs of its first weights."""
    first = weight_of(unet.conv_in).detach().flatten()[:SIGNS].cpu().float()
    said = json.dumps(asdict(identity.config), sort_keys=True, default=str)
    return hashlib.sha256(said.encode() + bytes(first.signbit().tolist())).hexdigest()[:16]


def hash_of(tensor: Tensor) -> str:
    """A short hash of a tensor's numbers."""
    return hashlib.sha256(tensor.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def tensors_of(adapters: Adapters) -> dict[str, Tensor]:
    """Adapters under the names of a file, in float32, with memory of their own."""
    named: dict[str, Tensor] = {}
    for layer, adapter in adapters.layers.items():
        parts = {"diff": adapter.diff} if isinstance(adapter, Whole) else {
            "lora_down.weight": adapter.down, "lora_up.weight": adapter.up}
        named |= {f"{PREFIX}{layer}.{part}": value.detach().clone().cpu() for part, value in parts.items()}
    return named


def with_record(tensors: Mapping[str, Tensor], record: Record) -> dict[str, Tensor]:
    """Tensors with the record among them, for programs that save tensors alone."""
    return {**tensors, RECORD: torch.tensor(list(json.dumps(asdict(record)).encode()), dtype=torch.uint8)}


def record_in(tensors: Mapping[str, Tensor]) -> Record:
    """The record among tensors; a new one where there is none."""
    told = tensors.get(RECORD)
    if told is None or told.dtype != torch.uint8 or told.numel() > LARGEST_JSON:
        return Record()
    return Record.from_json(bytes(told.flatten().tolist()).decode(errors="replace"))


def save(path: Path, adapters: Adapters, record: Record) -> None:
    """Write a .safetensors whose metadata is the record; what is there under its name stays until the new one is whole."""
    from safetensors.torch import save_file

    with replacing(path) as partial:
        save_file(tensors_of(adapters), partial, metadata={"format": "pt", RECORD: json.dumps(asdict(record))})


def read(path: str | Path) -> tuple[dict[str, Tensor], Record]:
    """Tensors and record of a file. Raises CheckpointError for a file that is damaged or none."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; expected a LoRA as .safetensors.")
    tensors, metadata = read_safetensors(path), read_metadata(path)
    return tensors, Record.from_json(metadata[RECORD]) if RECORD in metadata else record_in(tensors)


def adapters_from(tensors: Mapping[str, Tensor], unet: nn.Module) -> Adapters:
    """The adapters in a file, by the names of any program above. Raises ValueError when they do not fit the UNet.

    Changes of norms and biases, as core's training writes beside others, are left out with a line in the log.
    """
    if strange := sorted(filter(is_unread, tensors)):
        raise ValueError(f"lora has {len(strange)} tensors that are not read here, such as {strange[0][-80:]}; a layer may have "
                         "two matrices and an alpha, or a whole one. Take a plain LoRA, or the host's own LoRA loader.")
    layers, parts = dict(unet.named_modules()), check_fits(tensors, unet)
    matrices = {name: found for name, found in parts.items() if weight_of(layers[name]).ndim > 1}
    left_out = [*sorted(parts.keys() - matrices.keys()), *filter(is_bias, tensors)]
    if not matrices:
        raise ValueError(f"lora changes norms and biases alone (such as {without_prefix(left_out[0])[:80]}), which are left out "
                         "here; take one that changes attention or convolutions, or put it on with the host's own LoRA loader.")
    if left_out:
        logging.warning("Show-1: lora changes %d norms and biases (such as %s), which are left out here; its other %d layers are "
                        "used.", len(left_out), without_prefix(left_out[0])[:80], len(matrices))
    return Adapters({name: adapter_of(found, layers[name]) for name, found in matrices.items()})


def check_fits(tensors: Mapping[str, Tensor], unet: nn.Module) -> dict[str, dict[str, Tensor]]:
    """By layer, what a file changes of its weight. Raises ValueError when that does not fit the UNet, or is nothing."""
    layers = dict(unet.named_modules())
    flat = {f"{FLAT_PREFIX}{name.replace('.', '_')}": name for name in layers}
    parts = {flat.get(name, name): found for name, found in parts_of(tensors).items()}
    if not parts and not any(map(is_bias, tensors)):
        raise ValueError(NO_LORA)
    strange = sorted(name for name, found in parts.items() if not fits(layers.get(name), found))
    if strange:
        raise ValueError(f"lora was made for another base: {len(strange)} of its {len(parts)} layers do not fit this model, such "
                         f"as {strange[0][:80]}. Use it with the model that it was trained on.")
    return parts


def is_bias(name: str) -> bool:
    """Whether a tensor of a file changes a bias."""
    return name.endswith(".diff_b")


def is_unread(name: str) -> bool:
    """Whether a tensor of a file belongs to a UNet in a way that is not known here, such as DoRA's or LoKr's."""
    ours = without_prefix(name) != name or name.startswith((FLAT_PREFIX, *BLOCKS))
    return ours and not is_bias(name) and ENDING.search(name) is None


def in_native_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file under the names that LoRA loaders of a host know; what no program above writes keeps its name.

    Raises ValueError when none of them belongs to a UNet.
    """
    named = {native_name(name): tensor for name, tensor in tensors.items()}
    if not any(name.startswith((PREFIX, FLAT_PREFIX)) for name in named):
        raise ValueError(NO_LORA)
    return named


def without_prefix(name: str) -> str:
    """A tensor's name less what programs put before those of a UNet."""
    prefix = next((prefix for prefix in FOREIGN_PREFIXES if name.startswith(prefix)), "")
    return name[len(prefix):]


def native_name(name: str) -> str:
    """One tensor's name as we write it, where it is known."""
    layer, ending = without_prefix(name), ENDING.search(name)
    if layer == name and not name.startswith(BLOCKS):
        return name
    if ending is None:
        return PREFIX + layer
    ours = next(ours for ours in ENDINGS if ours.split(".")[0] == ending.lastgroup)
    return f"{PREFIX}{layer.removesuffix(ending.group())}.{ours}"


def parts_of(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """By layer, its tensors under our endings; whatever else is in the file is left out."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        ending = ENDING.search(name)
        if ending is not None and ending.lastgroup is not None:
            layer = without_prefix(name).removesuffix(ending.group())
            parts.setdefault(layer, {})[ending.lastgroup] = tensor
    return parts


def fits(layer: nn.Module | None, parts: Mapping[str, Tensor]) -> bool:
    """Whether these tensors change a weight of this layer's shape."""
    if layer is None or not isinstance(getattr(layer, "weight", None), Tensor):
        return False
    shape = weight_of(layer).shape
    if "diff" in parts:
        return parts["diff"].shape == shape
    if not {"lora_down", "lora_up"} <= parts.keys():
        return False
    down, up = parts["lora_down"], parts["lora_up"]
    return down.shape[1:].numel() == shape[1:].numel() and up.shape[0] == shape[0] and up[0].numel() == len(down)


def adapter_of(parts: Mapping[str, Tensor], layer: nn.Module) -> LowRank | Whole:
    """One layer's adapter; a file's alpha becomes part of it."""
    if "diff" in parts:
        whole = Whole(layer)
        whole.diff.data = parts["diff"].float().clone()
        return whole
    down, up = parts["lora_down"].float(), parts["lora_up"].float()
    low = LowRank(layer, len(down), torch.Generator())
    scale = float(parts["alpha"]) / len(down) if "alpha" in parts else 1.0
    low.down.data = down.reshape(low.down.shape).clone()
    low.up.data = up.reshape(low.up.shape).clone() if scale == 1.0 else up.reshape(low.up.shape) * scale
    return low


def different_base(record: Record, base: str) -> str | None:
    """A sentence when adapters were made on another base than this one; None when they were not, or do not say."""
    if not record.base or record.base == base:
        return None
    return (f"this LoRA was trained on another base ({record.base}) than this model ({base}); it fits in size, but the motion "
            "may not come through. Train it on this model, or load the model that it was trained on.")
