"""Make one .safetensors of a published folder: `convert.py models/show1/show-1-base keyframes.safetensors`.

The file is what Show-1 Model Loader lists: the UNet's tensors, and in its metadata the configs that say how it is
run (`show1`), where it comes from (`source`) and which files it was made of (`sha256`, as sha256sum prints them).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from terminal import Failure, guarded, say
from terminal.packages import use_library

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp8_e4m3fn": "float8_e4m3fn"}


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    if chosen.out.suffix != ".safetensors":
        raise Failure(f"OUT is {chosen.out}; name a file that ends in .safetensors.")
    if chosen.out.is_dir() or (chosen.out.exists() and not chosen.force):
        raise Failure(f"{chosen.out} is there already; give another name, or --force to replace a file.")
    use_library("torch", "safetensors", "numpy")
    from show1_core import CheckpointError

    try:
        stage = convert(chosen.folder, chosen.out, chosen.dtype)
    except CheckpointError as error:
        raise Failure(str(error)) from error
    say(f"{chosen.out}: {stage} in {chosen.dtype}, {chosen.out.stat().st_size / 1e9:.2f} GB")
    return 0


def convert(folder: Path, out: Path, dtype: str) -> str:
    """Write `out` and return the title of its stage. Raises CheckpointError or Failure; `out` is whole or untouched."""
    from show1_core import read_checkpoint
    from show1_core.digests import sha256_of
    from show1_core.weights import find_weights

    if not folder.is_dir():
        raise Failure(f"{folder} is no folder; expected one as published, such as show-1-base, with unet/ in it.")
    checkpoint = read_checkpoint(folder)  # refuses whatever is not a whole UNet of the cascade
    unet = folder / "unet" if (folder / "unet").is_dir() else folder
    tensors = {name: cast(name, tensor, dtype) for name, tensor in checkpoint.tensors.items()}
    files = find_weights(unet, "diffusion_pytorch_model")
    metadata = {
        "format": "pt",
        "show1": json.dumps(configs(unet)),
        "source": unet.resolve().parent.name if unet.resolve().name == "unet" else unet.resolve().name,
        "sha256": "\n".join(f"{sha256_of(file)}  {file.name}" for file in files),
    }
    write(tensors, metadata, out)
    return checkpoint.identity.stage.title


def configs(unet: Path) -> dict[str, object]:
    """The UNet's config, and those beside it that change how it is run."""
    from show1_core.checkpoints import PARTS
    from show1_core.weights import read_json

    beside = {name: read_json(unet.parent / file) for name, file in PARTS.items() if (unet.parent / file).is_file()}
    return {"unet": read_json(unet / "config.json"), **beside}


def cast(name: str, tensor: Tensor, dtype: str) -> Tensor:
    """The tensor in the wanted type, in storage of its own. Raises Failure when a number does not fit, or is none."""
    import torch

    wanted = getattr(torch, DTYPES[dtype])
    largest = float(tensor.abs().max().float())
    if not math.isfinite(largest):
        raise Failure(f"{name} holds NaN or infinity, so the file is damaged; download it again.")
    if largest > torch.finfo(wanted).max:  # torch itself clips to eight bits in silence
        raise Failure(f"{name} holds {largest:g}, which is too large for {dtype}; choose a wider --dtype.")
    result = tensor.to(wanted).contiguous()
    # safetensors takes no view into a larger storage
    return result if result.untyped_storage().nbytes() == result.nbytes else result.clone()


def write(tensors: dict[str, Tensor], metadata: dict[str, str], out: Path) -> None:
    """Write under another name, read back, and rename when every tensor is as it was. Raises Failure."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from show1_core.weights import read_safetensors, replacing

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as partial:
            save_file(tensors, partial, metadata)
            written = read_safetensors(partial)
            changed = [name for name, tensor in tensors.items() if not torch.equal(as_bytes(tensor), as_bytes(written[name]))]
            del written  # what is mapped cannot be renamed on Windows
            if changed:
                raise Failure(f"{changed[0]} came back from the disk changed; check the disk of {out.parent}.")
    except (OSError, SafetensorError) as error:
        raise Failure(f"{out} could not be written ({error}); look at the disk's space and the folder's permissions.") from error


def as_bytes(tensor: Tensor) -> Tensor:
    """The bytes of a tensor: eight-bit floats cannot be compared as numbers."""
    import torch

    return tensor.reshape(-1).view(torch.uint8)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convert.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="as published: show-1-base, or its unet/")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors", help="such as models/show1/keyframes.safetensors")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16",
                        help="fp16 is what is published; fp8_e4m3fn halves the file and costs accuracy")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is there")
    return parser


if __name__ == "__main__":
    guarded(main)
