"""Pixels against latents, in miniature: two networks of one size learn the same stills, one as pixels and one as latents.

    python -m mini.ablation --tokenizer DIR [--seeds 3] [--figures benchmarks/ablation.json] [--picture docs/ablation.jpg]

Then both are enlarged by both of the mini's enlargers, pixel and latent, as the paper's four cascades are (tables 3 to 6), and a
judge without a network says which solids, colours and places are seen. What is trained, drawn and measured is kept in `--folder`,
and the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from show1_core import cascade
from show1_core.evaluation.clip import ClipScorer
from show1_core.evaluation.distances import frechet_distance

from .evaluate import Mini, benchmark
from .grammar import judged_prompts
from .loop import Plan, Trainer
from .recipes import HIGH, LOW, MIDDLE
from .stills import Bank, Space, Stills, banks, latents, pixels, sampled, shrunk, there_and_back
from .stills_seen import features, judged, levels, sheet, table
from .tasks import clips
from .train import FINISHED, set_up_torch
from .world import draw

PLAN = Plan(steps=800, batch=48, learning_rate=2.5e-3, decay=0.5)
STILLS = 3000
PROMPTS = 24  # of one solid, and as many of two
RENDERED = 256  # stills that features are compared with, and as many that are judged themselves
SHOWN = 4  # prompts of one solid in the picture, and as many of two
Enlarge = Callable[[Tensor, list[str]], Tensor]
Row = dict[str, float]


def alone(frames: Tensor, prompts: list[str]) -> Tensor:
    """Stills as they are."""
    return frames


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


def costed(make: Callable[[], Tensor], stills: int) -> tuple[Tensor, float]:
    """What is made, and the CPU seconds of a still."""
    began = time.process_time()
    made = make()
    return made, (time.process_time() - began) / stills


def megabytes(make: Callable[[], Tensor]) -> float:
    """The most features that live at once while something is made."""
    with benchmark("measure").LiveBytes() as live:
        make()
    return live.peak / 1e6


@dataclass(frozen=True)
class Bench:
    """What all ways to draw a still have in common; made when it is first needed."""

    mini: Mini
    folder: Path

    @cached_property
    def prompts(self) -> list[str]:
        """Of one solid, then of two."""
        return judged_prompts(PROMPTS) + judged_prompts(PROMPTS, two=True)

    @cached_property
    def spaces(self) -> tuple[Space, Space]:
        return pixels(), latents(self.mini.vae)

    @cached_property
    def banks(self) -> dict[str, Bank]:
        """What is learnt, by the name of the space."""
        return dict(zip((space.name for space in self.spaces), banks(self.spaces, STILLS), strict=True))

    @cached_property
    def ways(self) -> dict[str, Enlarge]:
        """What is done with a still after it was drawn."""
        return {"alone": alone, "then pixels": partial(enlarged, partial(by_pixels, self.mini)),
                "then latents": partial(enlarged, partial(by_latents, self.mini))}

    @cached_property
    def rendered(self) -> tuple[Tensor, list[str]]:
        """Stills of the world at the final size, and their captions."""
        data = np.random.default_rng(77)
        scenes = draw(data, 2 * RENDERED, pairs=0.5)
        frames = clips(scenes, data.uniform(size=(len(scenes), 1)), HIGH)[:, :, 0]
        return frames, [scene.kind.caption for scene in scenes]

    @cached_property
    def scorer(self) -> ClipScorer:
        return ClipScorer.from_folder(FINISHED / "scorer")

    @cached_property
    def real(self) -> Tensor:
        """Features of one half of the rendered stills."""
        return features(self.scorer, levels(shrunk(self.rendered[0][RENDERED:], MIDDLE)))

    def measured(self, frames: Tensor, prompts: list[str]) -> Row:
        """The judge's shares of stills (P, 3, H, W), and the Fréchet distance of their features from those of rendered ones."""
        stills = levels(frames)
        return judged(stills, prompts) | {"distance": frechet_distance(features(self.scorer, stills), self.real)}

    @torch.no_grad()
    def bounds(self) -> dict[str, Row]:
        """The other half, and what the way into a space and back leaves of it: no model can be better."""
        frames, said = self.rendered[0][:RENDERED], self.rendered[1][:RENDERED]
        return {"rendered": self.measured(shrunk(frames, MIDDLE), said),
                **{f"rendered, as {space.name}": self.measured(there_and_back(space, frames), said) for space in self.spaces}}

    def trained(self, space: Space, seed: int) -> Any:
        """The averaged network of a seed."""
        task = Stills(space, self.mini.text, self.banks[space.name], seed)
        trainer = Trainer(task, replace(PLAN, seed=seed), self.folder / f"{space.name}-{seed}")
        trainer.resume()
        with torch.enable_grad():
            trainer.run()
        for name, parameter in trainer.parameters.items():
            parameter.data.copy_(trainer.average[name])
        return task.unet.requires_grad_(False)

    def drawn(self, space: Space, seed: int) -> dict[str, Row]:
        """Figures of a seed's network, a row a way; the stills of each way are kept."""
        draw_stills = partial(sampled, space, self.trained(space, seed), self.mini.text, seed=seed)
        frames, sampling = costed(partial(draw_stills, self.prompts), len(self.prompts))
        one, rows = self.prompts[:1], {}
        for name, enlarge in self.ways.items():
            made, enlarging = costed(partial(enlarge, frames, self.prompts), len(self.prompts))
            np.save(self.folder / f"{space.name}-{seed}" / f"{name}.npy", levels(made))
            rows[f"{space.name} {name}"] = self.measured(made, self.prompts) | {
                "seconds": sampling + enlarging, "megabytes": megabytes(lambda way=enlarge: way(draw_stills(one), one))}
        return rows

    def compared(self, seeds: int) -> dict[str, list[Row]]:
        """Figures of every way to draw a still, a row a seed."""
        rows = {name: [row] for name, row in kept(self.folder / "bounds.json", self.bounds).items()}
        for seed in range(seeds):
            for space in self.spaces:
                found = kept(self.folder / f"{space.name}-{seed}" / "rows.json", partial(self.drawn, space, seed))
                for name, row in found.items():
                    rows.setdefault(name, []).append(row)
                    print(f"seed {seed}, {name}: {', '.join(f'{part} {value:.3f}' for part, value in row.items())}", flush=True)
        return rows

    def shown(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Stills of a seed for some of the prompts, by way."""
        chosen = [*range(SHOWN), *range(PROMPTS, PROMPTS + SHOWN)]
        return {f"{space.name} {way}": np.load(self.folder / f"{space.name}-{seed}" / f"{way}.npy")[chosen]
                for space in self.spaces for way in self.ways}


def kept(file: Path, make: Callable[[], dict[str, Row]]) -> dict[str, Row]:
    """Rows that a file holds; made and written where there is none."""
    if not file.is_file():
        made = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    """Train, draw, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--models", type=Path, default=FINISHED, help="the mini, whose text encoder and enlargers are used")
    parser.add_argument("--folder", type=Path, default=Path(".training/ablation"), help="where everything is kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--figures", type=Path, help="file for the figures")
    parser.add_argument("--picture", type=Path, help="file for a picture of some stills of every way")
    arguments = parser.parse_args()
    set_up_torch(arguments.threads, torch.device("cpu"))
    bench = Bench(Mini(arguments.models, arguments.tokenizer), arguments.folder)
    rows = bench.compared(arguments.seeds)
    if arguments.figures:
        arguments.figures.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if arguments.picture:
        sheet(bench.shown()).save(arguments.picture, quality=88)
    print(table(rows))


if __name__ == "__main__":
    main()
