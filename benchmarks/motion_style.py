"""Does the mini learn a style from one clip? How much of it other prompts take on, and whether they are still obeyed.

    python benchmarks/motion_style.py --tokenizer DIR [--prompts 24] [--seeds 3]

Prints a table: for each set of layers and each training seed, the share of the reference's style (0 without it, 1 all of it) and
the judge's shares. The place is not judged: it is what the style changes. The later stages are in style_stages.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import judge  # noqa: E402
import motion_world as world  # noqa: E402
from motion import Bench  # noqa: E402

from mini.evaluate import with_error  # noqa: E402
from show1_core import cascade  # noqa: E402
from show1_core.tuning import adapters, motion  # noqa: E402

PLAN = motion.Plan(steps=120, learning_rate=5e-4, rank=32, train=adapters.SPATIAL_LAYERS, loss="noise")
WAYS: dict[str, motion.Plan | None] = {
    "no training": None,
    "spatial layers, rank 32": PLAN,
    "spatial layers, rank 32, 80 steps": replace(PLAN, steps=80),
    "spatial attention, rank 32": replace(PLAN, train=adapters.SPATIAL_ATTENTION),
    "temporal layers, whole (Show-1, section 3.7)": replace(PLAN, train=adapters.TEMPORAL_LAYERS, rank=0),
}


@dataclass(frozen=True)
class Styled:
    """The bench, and the clip that is learnt from."""

    bench: Bench
    clip: torch.Tensor

    def drawn(self, plan: motion.Plan | None) -> tuple[list[np.ndarray], float]:
        """Keyframes of all prompts with what a plan learns, and its CPU seconds."""
        began = time.process_time()
        made = self.bench.learnt(plan, self.clip, world.STYLE_PROMPT)[0] if plan else None
        seconds = time.process_time() - began
        return self.bench.drawn(made, self.bench.noise), seconds


def told(videos: list[np.ndarray], prompts: list[str]) -> str:
    """Cells of a row: the style with its standard error, and the judge's shares."""
    styles = [world.style_of(video) for video in videos]
    score = judge.score([judge.judge(video) for video in videos], prompts[:len(videos)])
    return f"{with_error(styles)} | {score.colour:.0%} | {score.solid:.0%} | {score.motion:.0%}"


def styled(tokenizer: Path, prompts: list[str]) -> Styled:
    """The reference moves right on a ground that glows."""
    asked = [(prompt, judge.claim_of(prompt).first.colour) for prompt in prompts]
    return Styled(Bench(tokenizer, asked), cascade.to_clip(torch.from_numpy(world.style_clip())))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[*WAYS], metavar="WAY")
    parser.add_argument("--save", type=Path, help="folder for the videos")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    prompts = world.styled_prompts(chosen.prompts)
    made = styled(chosen.tokenizer, prompts)
    print("| way | seed | style | colour | solid | motion | training |\n|---|---|---|---|---|---|---|", flush=True)
    for name in chosen.only:
        plan = WAYS[name]
        for seed in range(chosen.seeds if plan else 1):
            videos, seconds = made.drawn(plan and replace(plan, seed=seed))
            print(f"| {name} | {seed} | {told(videos, prompts)} | {seconds:.0f} s |", flush=True)
            if chosen.save is not None:
                chosen.save.mkdir(parents=True, exist_ok=True)
                np.save(chosen.save / f"style, {name}, seed {seed}.npy", np.stack(videos))
    return 0


if __name__ == "__main__":
    sys.exit(main())
