"""Does the mini learn a style from one clip? How much of it other prompts take on, and whether they are still obeyed.

    python benchmarks/motion_style.py --tokenizer DIR [--prompts 24]

Prints a table: for each set of layers, the share of the reference's style (0 without it, 1 all of it) and the judge's shares.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import judge  # noqa: E402
import motion_world as world  # noqa: E402
from motion import Bench  # noqa: E402

from show1_core import cascade  # noqa: E402
from show1_core.tuning import adapters, motion  # noqa: E402

PLAN = motion.Plan(steps=120, learning_rate=5e-4, rank=32, train=adapters.SPATIAL_ATTENTION, loss="noise")
WAYS: dict[str, motion.Plan | None] = {
    "no training": None,
    "spatial attention, rank 32": PLAN,
    "spatial attention for half the steps, rank 32": replace(PLAN, steps=PLAN.steps // 2),
    "spatial layers, rank 32": replace(PLAN, train=adapters.SPATIAL_LAYERS),
    "temporal layers, whole (Show-1, section 3.7)": replace(PLAN, train=adapters.TEMPORAL_LAYERS, rank=0, learning_rate=1e-3),
}


def lines(bench: Bench, ways: list[str], clip: torch.Tensor, saved: Path | None) -> Iterator[str]:
    """A line of the table for each way."""
    for name in ways:
        plan, began = WAYS[name], time.process_time()
        made = bench.learnt(plan, clip, world.STYLE_PROMPT)[0] if plan else None
        seconds = time.process_time() - began
        videos = bench.drawn(made, bench.noise)
        if saved is not None:
            saved.mkdir(parents=True, exist_ok=True)
            np.save(saved / f"style-{name.split(',')[0].replace(' ', '-')}.npy", np.stack(videos))
        styles = [world.style_of(video) for video in videos]
        score = judge.score([judge.judge(video) for video in videos], [prompt for prompt, _ in bench.prompts])
        yield (f"| {name} | {np.mean(styles):.2f} ± {np.std(styles, ddof=1) / len(styles) ** 0.5:.2f} | {score.colour:.0%} | "
               f"{score.solid:.0%} | {score.motion:.0%} | {seconds:.0f} s |")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--only", nargs="*", default=[*WAYS], metavar="WAY")
    parser.add_argument("--save", type=Path, help="folder for the videos")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    prompts = [(prompt, judge.claim_of(prompt).first.colour) for prompt in world.styled_prompts(chosen.prompts)]
    moving = world.with_style(world.clip(np.stack([-0.05 + 0.5 * world.TIMES, 0 * world.TIMES], axis=1), *world.SUBJECT))
    print("| way | style | colour | solid | motion | training |\n|---|---|---|---|---|---|", flush=True)
    for line in lines(Bench(chosen.tokenizer, prompts), chosen.only, cascade.to_clip(torch.from_numpy(moving)), chosen.save):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
