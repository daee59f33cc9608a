"""Pixels against latents, in miniature: two networks of one size learn the same stills, one as pixels and one as latents.

    python -m mini.ablation --tokenizer DIR [--seeds 3] [--figures benchmarks/ablation.json]

Then both are enlarged by both of the mini's enlargers, pixel and latent, as the paper's four cascades are (tables 3 to 6), and a
judge without a network says which solids, colours and places are seen. A model is trained once, and found again in `--folder`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from show1_core import cascade
from show1_core.evaluation.clip import ClipScorer
from show1_core.evaluation.distances import frechet_distance

from .evaluate import Mini, judge_module
from .grammar import judged_prompts
from .loop import Plan, Trainer
from .recipes import HIGH, LOW, MIDDLE
from .stills import Bank, Space, Stills, banks, latents, pixels, sampled, shrunk, there_and_back
from .tasks import clips
from .train import FINISHED, set_up_torch
from .world import draw

PLAN = Plan(steps=1000, batch=48, learning_rate=2.5e-3, decay=0.5)
STILLS = 3000
PROMPTS = 48  # of one solid, and as many of two
RENDERED = 256  # stills that features are compared with, and as many that are judged themselves
PARTS = ("colours", "solids", "place", "bound", "right")
AXES = {"left of": "side by side", "right of": "side by side", "above": "stacked", "below": "stacked"}
Enlarge = Callable[[Tensor, list[str]], Tensor]
Measure = Callable[[Tensor, list[str]], dict[str, float]]
Rows = dict[str, list[dict[str, float]]]


def trained(space: Space, bank: Bank, mini: Mini, seed: int, folder: Path) -> tuple[Any, float]:
    """The averaged network of a seed, and the seconds a step took."""
    task = Stills(space, mini.text, bank, seed)
    trainer = Trainer(task, replace(PLAN, seed=seed), folder / f"{space.name}-{seed}")
    trainer.resume()
    with torch.enable_grad():
        trainer.run()
    for name, parameter in trainer.parameters.items():
        parameter.data.copy_(trainer.average[name])
    return task.unet.requires_grad_(False), trainer.seconds / trainer.step


def by_pixels(mini: Mini, small: Tensor, prompt: str) -> Tensor:
    """A small frame enlarged by the mini's first stage of super-resolution: (1, 3, 1, h, w) -> (1, 3, 1, H, W)."""
    return mini.first_frame(small, prompt, seed=0)


def by_latents(mini: Mini, small: Tensor, prompt: str) -> Tensor:
    """A small frame enlarged without a network, and redrawn by the mini's latent expert: (1, 3, 1, h, w) -> (1, 3, 1, H, W)."""
    return cascade.to_clip(mini.latent_sr(cascade.enlarge(small, 4), prompt, 0, MIDDLE))


def enlarged(by: Callable[[Tensor, str], Tensor], frames: Tensor, prompts: list[str]) -> Tensor:
    """Stills (P, 3, H, W) made small, and enlarged again one by one: many at once are slower on a CPU."""
    made = [by(small[None, :, None], prompt) for small, prompt in zip(shrunk(frames, LOW), prompts, strict=True)]
    return torch.cat(made)[:, :, 0].clamp(-1, 1)


def as_seen(verdict: Any) -> tuple[str, tuple[tuple[str, str], ...], str]:
    """Place, solids with their colours from left to right or from above, and which of both: in a still nobody moves first."""
    solids = [(one.colour, one.solid) for one in (verdict.first, verdict.second) if one is not None]
    turned = verdict.relation in ("right of", "below")
    return verdict.place, tuple(reversed(solids) if turned else solids), AXES.get(verdict.relation, "")


def judged(frames: Tensor, prompts: Sequence[str]) -> dict[str, float]:
    """Shares of stills (P, 3, H, W) that show what their prompt says; `bound`: of two solids, each in its own colour."""
    judge = judge_module()
    images = ((frames * 0.5 + 0.5).clamp(0, 1) * 255).to(torch.uint8).movedim(1, -1).numpy()
    pairs = [(as_seen(judge.judge(image[None])), as_seen(judge.claim_of(prompt)))
             for image, prompt in zip(images, prompts, strict=True)]
    two = [(seen, asked) for seen, asked in pairs if len(asked[1]) == 2]
    found = {
        "colours": [sorted(c for c, _ in seen[1]) == sorted(c for c, _ in asked[1]) for seen, asked in pairs],
        "solids": [sorted(s for _, s in seen[1]) == sorted(s for _, s in asked[1]) for seen, asked in pairs],
        "place": [seen[0] == asked[0] for seen, asked in pairs],
        "bound": [sorted(seen[1]) == sorted(asked[1]) for seen, asked in two],
        "right": [seen == asked for seen, asked in pairs]}
    return {part: float(np.mean(right)) for part, right in found.items() if right}


def features(scorer: ClipScorer, frames: Tensor) -> Tensor:
    """What the mini's scorer sees in stills (P, 3, H, W)."""
    return scorer.frames((frames * 0.5 + 0.5).clamp(0, 1).movedim(1, -1))


def measured(frames: Tensor, prompts: list[str], scorer: ClipScorer, real: Tensor) -> dict[str, float]:
    """The judge's shares, and the Fréchet distance of features from those of rendered stills."""
    return judged(frames, prompts) | {"distance": frechet_distance(features(scorer, frames), real)}


def bounds(spaces: Sequence[Space], rendered: tuple[Tensor, list[str]], measure: Measure) -> Rows:
    """Figures of rendered stills, and of what the way into a space and back leaves of them: no model can be better."""
    frames, said = rendered
    with torch.no_grad():
        return {"rendered": [measure(shrunk(frames, MIDDLE), said)],
                **{f"rendered, as {space.name}": [measure(there_and_back(space, frames), said)] for space in spaces}}


def compared(mini: Mini, seeds: int, folder: Path) -> Rows:
    """Figures of every way to draw a still, a row a seed."""
    prompts = judged_prompts(PROMPTS) + judged_prompts(PROMPTS, two=True)
    spaces = (pixels(), latents(mini.vae))
    ways: dict[str, Enlarge] = {"alone": lambda frames, _: frames, "then pixels": partial(enlarged, partial(by_pixels, mini)),
                                "then latents": partial(enlarged, partial(by_latents, mini))}
    data, scorer = np.random.default_rng(77), ClipScorer.from_folder(FINISHED / "scorer")
    scenes = draw(data, 2 * RENDERED, pairs=0.5)
    rendered = clips(scenes, data.uniform(size=(len(scenes), 1)), HIGH)[:, :, 0]
    measure = partial(measured, scorer=scorer, real=features(scorer, shrunk(rendered[RENDERED:], MIDDLE)))
    rows = bounds(spaces, (rendered[:RENDERED], [scene.kind.caption for scene in scenes[:RENDERED]]), measure)
    made = banks(spaces, STILLS)
    for seed in range(seeds):
        for space, bank in zip(spaces, made, strict=True):
            unet, seconds = trained(space, bank, mini, seed, folder)
            began = time.process_time()
            frames = sampled(space, unet, mini.text, prompts, seed)
            cost = {"training": seconds, "sampling": (time.process_time() - began) / len(prompts)}
            for way, enlarge in ways.items():
                row = measure(enlarge(frames, prompts), prompts) | (cost if way == "alone" else {})
                rows.setdefault(f"{space.name} {way}", []).append(row)
                told = ", ".join(f"{part} {value:.3f}" for part, value in row.items())
                print(f"seed {seed}, {space.name} {way}: {told}", flush=True)
    return rows


def cell(values: Sequence[float], form: str) -> str:
    """Mean and standard error; nothing where nothing was measured."""
    if len(values) < 2:
        return "".join(form.format(value) for value in values)
    return f"{form.format(np.mean(values))} ± {form.format(np.std(values, ddof=1) / len(values) ** 0.5)}"


def table(rows: Rows) -> str:
    """A row a way to draw, in Markdown."""
    forms = {**dict.fromkeys(PARTS, "{:.0%}"), "distance": "{:.3f}", "training": "{:.2f}", "sampling": "{:.2f}"}
    lines = ["| drawn | " + " | ".join(forms) + " |", "|" + "---|" * (len(forms) + 1)]
    for name, found in rows.items():
        cells = [cell([row[part] for row in found if part in row], form) for part, form in forms.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train, draw, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--models", type=Path, default=FINISHED, help="the mini, whose text encoder and enlargers are used")
    parser.add_argument("--folder", type=Path, default=Path(".training/ablation"), help="where checkpoints are kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    set_up_torch(arguments.threads, torch.device("cpu"))
    rows = compared(Mini(arguments.models, arguments.tokenizer), arguments.seeds, arguments.folder)
    if arguments.figures:
        arguments.figures.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
