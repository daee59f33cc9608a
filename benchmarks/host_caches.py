"""What the core's EasyCache and LazyCache save on the mini's keyframes, and what they do to the picture.

    PYTHON benchmarks/host_caches.py COMFYUI [--steps 20] [--sampler euler] [--seeds 2]

Run it with the Python of the ComfyUI in that folder. Calls are the network's; the distance to the run without a cache is
relative, in the L2 norm; right is what the judge finds so: colour, form, motion and place.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import torch  # noqa: E402
from in_host import MiniInHost  # noqa: E402
from judge import claim_of, judge  # noqa: E402
from torch import Tensor  # noqa: E402

from mini.evaluate import to_bytes  # noqa: E402
from show1_core import cascade  # noqa: E402

PROMPTS = ("a red ball moving right", "a blue cube bouncing by day", "a green cone circling at night", "a yellow ball moving up")
ROWS = [("EasyCache", threshold, 0.15) for threshold in (0.05, 0.1, 0.2, 0.5)] + [
    ("LazyCache", threshold, 0.15) for threshold in (0.05, 0.2, 0.5)] + [
    ("LazyCache", 0.2, 0.4), ("LazyCache", 0.2, 0.6), ("LazyCache", 0.5, 0.6), ("LazyCache", 0.05, 0.6),
    ("LazyCache", 0.2, 0.8)]  # cache, threshold, start_percent
END = 0.95
HEAD = "| cache | threshold | `start_percent` | calls of {} | distance to the plain run | right |\n|---|---|---|---|---|---|"


class Drawing:
    """The mini's keyframes by a core sampler, and how often the network was called."""

    def __init__(self, mini: MiniInHost, steps: int, sampler: str, seeds: int) -> None:
        self.mini, self.steps, self.sampler, self.seeds, self.calls = mini, steps, sampler, seeds, 0
        self.model = mini.model("keyframes")
        self.model.model.diffusion_model.conv_in.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def clips(self, model: Any) -> list[Tensor]:
        """Of every prompt and seed a clip (C, F, H, W) in -1..1."""
        size = self.mini.recipe["keyframes"]
        empty = {"samples": torch.zeros(1, 3, size["frames"], size["height"], size["width"])}
        sampler, self.calls = importlib.import_module("nodes").KSampler(), 0
        with torch.inference_mode():
            return [sampler.sample(model, seed, self.steps, size["guidance"], self.sampler, "normal", *self.mini.text(prompt),
                                   empty)[0]["samples"][0] for prompt in PROMPTS for seed in range(self.seeds)]

    def row(self, name: str, model: Any, plain: list[Tensor]) -> str:
        """A line of the table."""
        clips = self.clips(model)
        apart = sum(float((one - other).norm() / other.norm()) for one, other in zip(clips, plain)) / len(clips)
        asked = [claim_of(prompt) for prompt in PROMPTS for _ in range(self.seeds)]
        right = sum(judge(to_bytes(cascade.to_images(clip[None]))) == claim for clip, claim in zip(clips, asked))
        return f"| {name} | {self.calls / len(clips):.0f} | {apart:.2f} | {right} of {len(clips)} |"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", type=Path, help="a ComfyUI's folder")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", default="euler")
    parser.add_argument("--seeds", type=int, default=2)
    chosen = parser.parse_args()
    drawing = Drawing(MiniInHost(chosen.host.resolve()), chosen.steps, chosen.sampler, chosen.seeds)
    caches, plain = importlib.import_module("comfy_extras.nodes_easycache"), drawing.clips(drawing.model)
    print(HEAD.format(chosen.steps))
    print(drawing.row("none | | ", drawing.model, plain))
    for cache, threshold, start in ROWS:
        model = getattr(caches, f"{cache}Node").execute(drawing.model, threshold, start, END, False).args[0]
        print(drawing.row(f"{cache} | {threshold:g} | {start:g}", model, plain), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
