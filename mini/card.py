"""The card of the exported weights, `README.md`, written from what they are and from what was measured.

    python -m mini.card models/show1-mini
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from .grammar import COLOURS, MOTIONS, PLACES, SOLIDS
from .recipes import HIGH, LOW, MIDDLE
from .settings import SETTINGS

FIGURES = "judged.json"  # what `benchmarks/judge_cascade.py --figures` writes
BESIDE = "beside-bicubic.json"  # what `mini.beside_bicubic` writes
LICENCE = "The weights are free under the GPL-3.0-or-later, as is the code; they have learnt from clips that this code draws."

CONTENTS: dict[str, str] = {
    "keyframes": f"8 frames of {LOW[1]}x{LOW[0]} from a prompt, and the T5 that all stages read",
    "interpolation": "three frames between neighbours, to 29; started from the keyframe weights",
    "first-frame": "the first frame, four times as large; predicts its variance too",
    "sr1": f"all frames, four times as large ({MIDDLE[1]}x{MIDDLE[0]}); started from the first-frame weights",
    "sr2": f"the expert for the last 900 timesteps, in the latent space of `sr2/vae`, for {HIGH[1]}x{HIGH[0]}",
    "scorer": "a small CLIP, which ranks takes by how well they follow a prompt; frames are squeezed to a square, not cut",
}

TRAINING = """With `python -m mini.train` on a CPU (plain PyTorch, bfloat16 products where the CPU has them, Muon for matrices and
AdamW for all else, averaged weights; `--device cuda` for a GPU). Data: clips rendered afresh for every step from the seed
(`mini/world.py`); one in nine combinations of colour, solid, motion and place is never shown. The keyframe model starts from an
image model that learnt from single frames, as the published one does. Both go on (`image-pairs`, `keyframe-pairs`) with mostly
two solids, and the text encoder is asked which words belong together (`mini/binding.py`). The enlarging stages learn twice: the
second time (`first-frame-edges`, `sr1-edges`, `sr2-early`) what they are used for, early timesteps and patches where edges are
(`mini/redraw.py`). `training.json` has what each learns from and its plan, and how far it came. Minutes are of a CPU's one
core or two, of the second trainings two that all three and other work shared."""

INTRODUCTION = """# Show-1 mini

A complete, trained Show-1 in the folder layout of the published models. It knows one small world: shaded solids on a ground
under a sky, and what a caption says of them."""

SECOND = """A second solid may stand `above`, `below`, `left of` or `right of` the first: "a red ball moving right above a blue
cube at sunset". A place that is not named is black."""

SAMPLED = """A guidance of 1 is none, and half the work; no stage needs more. The enlargements redraw the enlarged frames in
part; from noise alone (`denoise` 1) dark scenes come out grey."""

JUDGED = """A judge without any network names the place, and the colour, form and motion of the solid
(`benchmarks/judge.py`)."""

ENLARGED = """PSNR in dB against the rendered original, and how steep edges are as a share of the original's: mean and standard
error over {clips} held-out clips (`mini/beside_bicubic.py`). Every stage is given rendered frames."""
TRIED = """The last stage redraws what it is given, and not where it was. It learnt for 28 minutes of one core, and a second
time for some 25. Tried for it: the second time is worth 1.3 dB (at `denoise` 0.15, five clips); a `denoise` of 0.05 is worth
0.3 dB more than 0.15 after all stages (four clips); a twin that learnt all 1,000 timesteps was 0.7 dB nearer, after the first
time of both. The autoencoder alone, without any call of the network, is nearer still and has edges as steep. Hours of training
were not tried."""
CANNOT = """## What it cannot do

It understands no other words. Where the keyframes, 32x20, draw a ball with a dent or a cube with a bent side, the enlargements
keep it; what is far away and small comes out lumpy, and plain skies a little cloudy. It has never seen anything turn, or two
solids that move in different ways."""
SURE = 2.0  # standard errors by which one has to be ahead of the other to be called so

COMMANDS = """    python -m mini.train --stage images --tokenizer DIR
    python -m mini.train --stage keyframes --tokenizer DIR          # then image-pairs, keyframe-pairs
    python -m mini.train --stage vae --tokenizer DIR
    python -m mini.train --stage interpolation --tokenizer DIR      # then first-frame, sr1, sr2
    python -m mini.train --stage first-frame-edges --tokenizer DIR  # then sr1-edges, sr2-early
    python -m mini.train --stage scorer --tokenizer DIR
    python -m mini.export models/show1-mini --tokenizer DIR
    python -m mini.beside_bicubic --tokenizer DIR
    python benchmarks/judge_cascade.py --prompts 64 --figures models/show1-mini/judged.json
    python -m mini.card models/show1-mini                           # this text anew, with what was measured

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


def beside(told: Mapping[str, Any]) -> list[str]:
    """The stages beside bicubic: how it was measured, the table, and which are ahead."""
    def cell(row: Mapping[str, Any], name: str) -> str:
        (psnr, off), (edges, off_edges) = row[f"{name}psnr"], row[f"{name}edges"]
        return f"{psnr:.1f} ± {off:.1f}, {edges:.2f} ± {off_edges:.2f}"

    rows = []
    for row in told["rows"]:
        given, made, start = ("x".join(map(str, row[name])) for name in ("from", "to", "bicubic_from"))
        plain = cell(row, "bicubic_") + (f" (from {start})" if start != given else "")
        ahead, off = row["ahead"]
        rows.append((row["stage"], f"{given}, {made}", cell(row, ""), plain, f"{ahead:+.2f} ± {off:.2f}"))
    head = ("stage", "from, to", "the stage: PSNR, edges", "bicubic: PSNR, edges", "PSNR ahead, clip by clip")
    return ["## Beside bicubic", ENLARGED.format(clips=told["clips"]), table(head, rows), conclusion(told["rows"]), TRIED]


def conclusion(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which stages are nearer to the original than bicubic, which farther, and whose edges are steeper."""
    groups: dict[str, list[str]] = {"Nearer to the original than bicubic": [], "Farther": [], "Too near to bicubic to tell": []}
    for row in rows:
        ahead, off = row["ahead"]
        group = 2 if abs(ahead) <= SURE * off else int(ahead < 0)
        groups[tuple(groups)[group]].append(row["stage"])
    groups["Edges steeper than bicubic's"] = [row["stage"] for row in rows if row["edges"][0] > row["bicubic_edges"][0]]
    return " ".join(f"{said}: {'; '.join(stages)}." for said, stages in groups.items() if stages)


def card(folder: Path) -> str:
    """The text of the card for the weights, `training.json` and, as far as they are there, the measured figures in a folder."""
    told = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    choices = (COLOURS, SOLIDS, MOTIONS, [ways[0] for ways in PLACES.values()])
    sentence = "\n    ".join(f"{{{', '.join(words)}}}" for words in choices)
    settings = [(stage, setting.steps, setting.guidance, setting.denoise) for stage, setting in SETTINGS.items()]
    sampled = table(("stage", "steps", "guidance", "denoise"), settings)
    parts = [INTRODUCTION, f"    a {sentence}", SECOND, contents(folder), LICENCE, "## How it was trained", TRAINING,
             training(told), COMMANDS, "## How it is sampled", SAMPLED, sampled]
    if (folder / BESIDE).exists():
        parts += beside(json.loads((folder / BESIDE).read_text(encoding="utf-8")))
    if (folder / FIGURES).exists():
        judged = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        parts += ["## What it reaches", JUDGED, figures(judged)]
    parts.append(CANNOT)
    return "\n\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write the card of the weights in a folder."""
    (folder / "README.md").write_text(card(folder), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the exported weights are")
    write(parser.parse_args().folder)
