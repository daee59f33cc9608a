"""Write an untrained miniature of every published model, in the published layout: `python scripts/miniature.py DIR`.

Same architecture as the real checkpoints, fewer channels, weights from a rule. They make noise, not pictures; they
are what the official code was recorded with, so they show that the numbers are right.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "data" / "golden"

# published file of each model; a name with {} is written in two shards and an index
FILES = {
    "show-1-base/unet": "diffusion_pytorch_model.fp16.bin",
    "show-1-interpolation/unet": "diffusion_pytorch_model.fp16.bin",
    "IF-II-L-v1.0/unet": "diffusion_pytorch_model.fp16.safetensors",
    "show-1-sr1/unet": "diffusion_pytorch_model.bin",
    "show-1-sr2/unet": "diffusion_pytorch_model.bin",
    "show-1-sr2/vae": "diffusion_pytorch_model.bin",
    "show-1-sr2/text_encoder": "pytorch_model.bin",
    "show-1-base/text_encoder": "pytorch_model{}.bin",
}


def weight(tag: str, name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The weight `name` of the model `tag`, float16: normal numbers seeded by the name, scaled by the kind of weight."""
    z = np.random.RandomState((zlib.crc32(f"{tag}/{name}".encode()) ^ seed) & 0xFFFFFFFF).standard_normal(shape)
    if len(shape) == 1:
        z = 1 + 0.1 * z if name.endswith("weight") else 0.05 * z
    elif "embedding" in name or name == "shared.weight" or "relative_attention_bias" in name:
        z = 0.5 * z
    else:
        z = (0.05 if name == "conv_out.weight" else 0.7) * z / np.sqrt(np.prod(shape[1:]))
    # through float32: the recording rounded twice, and one unit of float16 in a few weights shows
    return torch.from_numpy(z.astype(np.float32).astype(np.float16))


def tensors(tag: str, table: Path, seed: int) -> dict[str, torch.Tensor]:
    """All weights of one model, names and shapes from its `tensors.tsv`."""
    rows = (line.split("\t") for line in table.read_text().splitlines())
    return {name: weight(tag, name, tuple(map(int, shape.split("x"))), seed) for name, shape in rows}


def save(weights: dict[str, torch.Tensor], folder: Path, name: str) -> None:
    """Write weights as one file, or in two shards with the index that lists them."""
    if name.endswith(".safetensors"):
        save_file(weights, folder / name)
    elif "{}" not in name:
        torch.save(weights, folder / name)
    else:
        names = sorted(weights)
        halves = {name.format(f"-0000{i + 1}-of-00002"): names[i::2] for i in range(2)}
        for file, part in halves.items():
            torch.save({key: weights[key] for key in part}, folder / file)
        index = {"metadata": {}, "weight_map": {key: file for file, part in halves.items() for key in part}}
        (folder / f"{name.format('')}.index.json").write_text(json.dumps(index))


def build(models: Path) -> None:
    """Write every miniature below `models`; folders that are complete stay as they are."""
    seed = json.loads((GOLDEN / "recipe.json").read_text())["weight_seed"]
    for checkpoint in sorted({tag.split("/")[0] for tag in FILES}):
        if (models / checkpoint).exists():
            continue
        partial = models / f".{checkpoint}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(GOLDEN / checkpoint, partial, ignore=shutil.ignore_patterns("tensors.tsv"))
        for tag, name in FILES.items():
            if tag.startswith(checkpoint + "/"):
                save(tensors(tag, GOLDEN / tag / "tensors.tsv", seed), partial / tag.split("/")[1], name)
        partial.rename(models / checkpoint)  # complete or not there at all


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="miniature.py", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, metavar="DIR", help="a folder like ComfyUI's models/show1")
    folder = parser.parse_args().models
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
