"""How far the few-step preset is from the published number of steps, on the mini cascade in a real ComfyUI.

    python benchmarks/few_steps.py [--prompts 12] [--output DIR]

Every prompt is run three times: with the published steps of every stage; with the preset's and the same seed; with the
preset's and another seed, which says how far apart two takes are anyhow. Prints the judge's figures and the PSNR, in dB over
all values of a clip, of the frames after every stage; few_steps.png shows the three videos of each prompt side by side.
Guidance and sizes are those of the shipped workflow.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "scripts"), str(REPO / "benchmarks")]

import judge  # noqa: E402
import numpy as np  # noqa: E402
from judge_cascade import Clips, Orders, run_all, serving  # noqa: E402
from terminal import guarded  # noqa: E402

from mini.grammar import judged_prompts  # noqa: E402

# The workflow's titles of the stages, in their order.
TITLES = ("Keyframes", "Interpolation", "First frame", "Upscale", "Refine")
OTHER_SEEDS = 1000


def ways(prompts: list[str]) -> dict[str, Orders]:
    """The three ways every prompt is run."""
    from show1_core.stages import STAGES

    def steps(counts: list[int]) -> dict[str, str]:
        return {f"{title}.steps": str(count) for title, count in zip(TITLES, counts, strict=True)}

    few = Orders(prompts, changes=steps([stage.few_steps for stage in STAGES]))
    return {"published steps": Orders(prompts, changes=steps([stage.steps for stage in STAGES])),
            "few steps": few, "few steps, other seeds": replace(few, first_seed=OTHER_SEEDS)}


def psnr(clip: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two clips of levels 0..255, in dB."""
    import torch  # by the host's Python, under which the program goes on

    from show1_core.tuning import objectives

    return objectives.psnr(torch.from_numpy(clip).double(), torch.from_numpy(other).double(), peak=255)


def report(found: dict[str, Clips], seconds: dict[str, float], prompts: list[str]) -> None:
    """Print a line a way and stage."""
    reference = found["published steps"]
    for way, clips in found.items():
        print(f"{way}: {seconds[way] / len(prompts):.0f} s a prompt")
        for stage, videos in clips.items():
            distances = [psnr(video, other) for video, other in zip(videos, reference[stage], strict=True)]
            distance = "" if clips is reference else \
                f"; PSNR to published median {np.median(distances):.1f} dB, {min(distances):.1f} to {max(distances):.1f}"
            print(f"  {stage}: {judge.score([judge.judge(video) for video in videos], prompts)}{distance}", flush=True)


def sheet(found: dict[str, Clips], output: Path) -> None:
    """First, middle and last frame of each way side by side, a prompt a row."""
    from PIL import Image

    rows = []
    for videos in zip(*(clips["video"] for clips in found.values()), strict=True):
        rows.append(np.concatenate([video[place] for video in videos for place in (0, len(video) // 2, -1)], axis=1))
    Image.fromarray(np.concatenate(rows)).reduce(2).save(output / "few_steps.png")


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--output", type=Path, default=REPO / "output" / "few-steps")
    chosen = parser.parse_args(arguments)
    output = chosen.output.resolve()
    found: dict[str, Clips] = {}
    seconds: dict[str, float] = {}
    with serving(output) as server:
        prompts = judged_prompts(chosen.prompts)
        for way, orders in ways(prompts).items():
            began = time.monotonic()
            found[way] = asyncio.run(run_all(server.url, orders, output))
            seconds[way] = time.monotonic() - began
    report(found, seconds, prompts)
    sheet(found, output)
    return 0


if __name__ == "__main__":
    guarded(main)
