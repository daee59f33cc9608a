"""Make a training folder of exported weights, so that a checkout can train them further.

    python -m mini.restore models/show1-mini --tokenizer DIR

Averages and steps of the optimizer are not exported: a stage starts at step 0 of a new plan, from these weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from show1_core.checkpoints import load_unet

from .binding import Binding
from .loop import Trainer
from .recipes import PLANS
from .scorer import SCORER_RECIPE, Scorer
from .t5 import TextEncoder, Tokenizer, text_recipe
from .train import FOLDERS, WEIGHTS, load


class Weights(nn.Module):
    """Parameters under the names that a stage's task has for them."""

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, module in parts.items():
            self.add_module(name, module)


def read(file: Path) -> dict[str, Tensor]:
    """Exported weights in float32."""
    return {name: tensor.float() for name, tensor in load_file(file).items()}


def keep(stage: str, parts: dict[str, nn.Module], folder: Path) -> None:
    """Write the state of a stage that has these weights and nothing else."""
    Trainer(Weights(parts), PLANS[stage], folder / stage).save()


def lacking(stage: str, folder: Path, exported: Path) -> bool:
    """Whether a stage has been exported, and has no state in the folder."""
    return exported.is_dir() and not (folder / stage / "state.pt").exists()


@torch.no_grad()
def restore(source: Path, folder: Path, tokenizer: Path) -> list[str]:
    """Every stage that `source` has and `folder` has not; their names."""
    done = []
    for stage, place in ((stage, source / published) for stage, published in FOLDERS.items()):
        if not lacking(stage, folder, place / "unet"):
            continue
        unet = load_unet(place).requires_grad_(True)
        parts: dict[str, nn.Module] = {"unet": unet}
        if (place / "text_encoder").is_dir():  # the text encoder learns with this stage, and is asked questions
            parts["text"] = text = TextEncoder(text_recipe(place / "text_encoder"), Tokenizer(tokenizer))
            weights = read(place / "text_encoder" / "model.safetensors")
            load(text, {f"t5.{name}": tensor for name, tensor in weights.items()})
            parts["binding"] = Binding(text)
        keep(stage, parts, folder)
        done.append(stage)
    from diffusers import AutoencoderKL

    if lacking("vae", folder, source / "sr2" / "vae"):
        vae: Any = AutoencoderKL.from_config(json.loads((source / "sr2" / "vae" / "config.json").read_text(encoding="utf-8")))
        load(vae, read(source / "sr2" / "vae" / WEIGHTS))
        keep("vae", {"vae": vae}, folder)
        done.append("vae")
    if lacking("scorer", folder, source / "scorer"):
        scorer = Scorer(SCORER_RECIPE)
        load(scorer.clip, read(source / "scorer" / "model.safetensors"))
        keep("scorer", {"clip": scorer.clip}, folder)
        done.append("scorer")
    return done


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    arguments = parser.parse_args()
    done = restore(arguments.source, arguments.folder, arguments.tokenizer)
    print(f"{', '.join(done) or 'nothing'} restored to {arguments.folder}; what was there is as it was")


if __name__ == "__main__":
    main()
