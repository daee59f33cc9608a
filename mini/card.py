"""The card of the exported weights, `README.md`, written from what they are and from what was measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from .grammar import COLOURS, MOTIONS, PLACES, SOLIDS
from .recipes import HIGH, LOW, MIDDLE
from .settings import SETTINGS

FIGURES = "judged.json"  # what `mini.evaluate --figures` writes
LICENCE = "The weights are free under the GPL-3.0-or-later, as is the code; they have learnt from clips that this code draws."

CONTENTS: dict[str, str] = {
    "keyframes": f"8 frames of {LOW[1]}x{LOW[0]} from a prompt, and the T5 that all stages read",
    "interpolation": "three frames between neighbours, to 29; started from the keyframe weights",
    "first-frame": "the first frame, four times as large; predicts its variance too",
    "sr1": f"all frames, four times as large ({MIDDLE[1]}x{MIDDLE[0]}); started from the image model's spatial weights",
    "sr2": f"the expert for the last 900 timesteps, in the latent space of `sr2/vae`, for {HIGH[1]}x{HIGH[0]}",
    "scorer": "a small CLIP, which ranks takes by how well they follow a prompt; frames are squeezed to a square, not cut",
}

TRAINING = """With `python -m mini.train` on a CPU (plain PyTorch, bfloat16 products where the CPU has them, Muon for matrices and
AdamW for all else, averaged weights; `--device cuda` for a GPU). Data: clips rendered afresh for every step from the seed
(`mini/world.py`); one in nine combinations of colour, solid, motion and place is never shown. The keyframe model starts from an
image model that learnt from single frames, as the published one does. Both go on (`image-pairs`, `keyframe-pairs`) with mostly
two solids, and the text encoder is asked which words belong together (`mini/binding.py`). `training.json` has every
hyperparameter."""

INTRODUCTION = """# Show-1 mini

A complete, trained Show-1 in the folder layout of the published models. It knows one small world: shaded solids on a ground
under a sky, and what a caption says of them."""

SECOND = """A second solid may stand `above`, `below`, `left of` or `right of` the first: "a red ball moving right above a blue
cube at sunset". A place that is not named is black."""

SAMPLED = """A guidance of 1 is none, and half the work; no stage needs more. The enlargements redraw the enlarged frames in
part; from noise alone (`denoise` 1) dark scenes come out grey."""

JUDGED = """A judge without any network names the place, and the colour, form and motion of the solid
(`benchmarks/judge.py`)."""

ENLARGED = """Held-out clips against the rendered original: PSNR, and how steep edges are as a share of the original's. From the
frames named first, enlarged to those named second:"""

# Measured on 2026-11-27 with these weights; the latent stage by `python -m mini.expert`.
BESIDE_BICUBIC = (
    ("first frame", "32x20, 128x80", "33.6 dB", "32.7 dB"),
    ("pixel super-resolution", "32x20, 128x80", "33.5 dB, 0.63", "32.7 dB, 0.28"),
    ("autoencoder", "256x160 through its latents; bicubic from 128x80", "41.9 dB, 0.80", "40.7 dB, 0.57"),
    ("both super-resolutions", "32x20, 256x160", "32.2 dB, 0.47", "31.4 dB, 0.14"),
    ("pixel super-resolution, then bicubic", "32x20, 256x160", "32.7 dB, 0.36", ""),
    ("latent super-resolution alone", "128x80, 256x160", "35.2 dB", "40.7 dB"),
)

LAST_STAGE = """So all but the last stage are nearer to the original than bicubic. The last one makes edges steeper and costs half
a dB: what it redraws it does not redraw where it was. It has learnt for 4,000 steps, 28 minutes of one core; the loss after 2,500
and 4,000 was 0.060 and 0.044, so longer training is what would be tried next."""

COMMANDS = """    python -m mini.train --stage images --tokenizer DIR
    python -m mini.train --stage keyframes --tokenizer DIR          # then image-pairs, keyframe-pairs
    python -m mini.train --stage vae --tokenizer DIR
    python -m mini.train --stage interpolation --tokenizer DIR      # then first-frame, sr1, sr2
    python -m mini.train --stage scorer --tokenizer DIR
    python -m mini.evaluate models/show1-mini --tokenizer DIR --figures models/show1-mini/judged.json
    python -m mini.export models/show1-mini --tokenizer DIR

`DIR` is a folder with T5's `tokenizer.json`. Every stage continues from `.training/` after a kill; a longer `--steps` trains
further. `python -m mini.restore models/show1-mini --tokenizer DIR` makes a `.training/` of the weights that are here."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def parameters(file: Path) -> float:
    """Millions of numbers in a file of weights."""
    with safe_open(file, framework="pt") as weights:
        names = list(weights.keys())
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in names) / 1e6


def contents(folder: Path) -> str:
    """What lies in which folder, and how large it is."""
    rows = []
    for stage, what in CONTENTS.items():
        sizes = [f"{parameters(file):.2f} M" for file in sorted((folder / stage).rglob("*.safetensors"), reverse=True)]
        rows.append((f"`{stage}/`", what, " + ".join(sizes)))
    return table(("folder", "what", "parameters"), rows)


def training(told: Mapping[str, Any]) -> str:
    """How long every stage has learnt."""
    rows = [(stage, f"{run['steps']:,}", run["plan"]["batch"], run["plan"]["learning_rate"], round(run["seconds"] / 60),
             run["loss"]) for stage, run in told.items()]
    return table(("stage", "steps", "batch", "learning rate", "minutes", "loss at the end"), rows)


def figures(judged: Mapping[str, Any]) -> str:
    """The judge's figures after every stage."""
    parts = ("colour", "solid", "motion", "place", "every")
    rows = []
    for stage, found in judged.items():
        right, chance = found["score"], found["shuffled"]["every"]
        rows.append((stage, right["clips"], *(f"{right[part]:.1%}" for part in parts), f"{chance:.1%}"))
    return table(("after", "clips", *parts[:-1], "all four", "all four, prompts shuffled"), rows)


def card(folder: Path) -> str:
    """The text of the card for the weights, `training.json` and, if it is there, `judged.json` in a folder."""
    told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    choices = (COLOURS, SOLIDS, MOTIONS, [ways[0] for ways in PLACES.values()])
    sentence = "\n    ".join(f"{{{', '.join(words)}}}" for words in choices)
    settings = [(stage, setting.steps, setting.guidance, setting.denoise) for stage, setting in SETTINGS.items()]
    sampled = table(("stage", "steps", "guidance", "denoise"), settings)
    parts = [INTRODUCTION, f"    a {sentence}", SECOND, contents(folder), LICENCE, "## How it was trained", TRAINING,
             training(told), COMMANDS, "## How it is sampled", SAMPLED, sampled, "## Beside bicubic", ENLARGED,
             table(("stage", "from, to", "the stage", "bicubic"), BESIDE_BICUBIC), LAST_STAGE]
    if (folder / FIGURES).exists():
        judged = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        parts += ["## What it reaches", JUDGED, figures(judged)]
    return "\n\n".join(parts) + "\n"
