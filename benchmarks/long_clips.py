"""Do windows of time show in a long clip? The mini's keyframes in windows that share four frames or none, with free noise or
without; then the motion between them, and all frames enlarged.

    PYTHON benchmarks/long_clips.py COMFYUI [--keyframes 16] [--seeds 2] [--save DIR]

Run it with the Python of the ComfyUI in that folder. By the mean change from one frame to the next, in levels of 255: at seams,
where a window of keyframes begins or ends, and elsewhere. The judge is asked for colour, form and place in every eight
keyframes, two on; and for the motion in each window, and in all frames of the keyframes and of the enlarged clip.
`noise` is what the last eighth of the enlarged frames differs from its small frames, over what the first does: above 1 where
windows of enlarging, each of which begins with the last one's end, get worse on the way.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import numpy  # noqa: E402
import torch  # noqa: E402
from in_host import MiniInHost, in_windows  # noqa: E402
from judge import claim_of, judge  # noqa: E402
from torch import Tensor  # noqa: E402

from mini.evaluate import to_bytes  # noqa: E402

PROMPTS = ("a red ball moving right", "a blue cube bouncing by day", "a green cone circling at night")
LENGTH, BETWEEN = 8, 4  # keyframes of a window; frames of the video for each
CASES = [(overlap, free_noise) for overlap in (4, 0) for free_noise in (True, False)]
STAGES = ("keyframes", "interpolated", "enlarged")
PUBLISHED = ("published", "published")
HEAD = ("| windows share | `free_noise` | at seams, elsewhere: " + " | ".join(STAGES) + " | same thing seen | motion in a "
        "window | in all keyframes | in all enlarged frames | noise |\n" + "|---" * 10 + "|")


@dataclass(frozen=True)
class Found:
    """What one clip shows: change at seams and elsewhere by stage, and shares of what is right."""

    changes: list[tuple[float, float]]
    same: float
    inside: float
    whole: float
    enlarged: float
    noise: float


def draw(mini: MiniInHost, prompt: str, seed: int, model: Any, keyframes: int, free_noise: bool) -> list[Tensor]:
    """Frames (F, H, W, 3) in 0..1 after each stage."""
    text, recipe = mini.text(prompt), mini.recipe
    one, two, three, four = (recipe[name] for name in ("keyframes", "interpolate", "first_frame", "upscale"))
    clip = mini.run("keyframes", "Show1KeyframeSampler", model, *text, seed, one["steps"], one["guidance"], keyframes,
                    one["width"], one["height"], *PUBLISHED, free_noise=free_noise)
    moving = mini.run("interpolation", "Show1Interpolator", mini.model("interpolation"), *text, clip, seed, two["steps"],
                      two["guidance"], *PUBLISHED)
    first = mini.run("pixel_sr", "Show1FirstFrameSR", mini.model("first-frame"), *text, moving[:1], seed, three["steps"],
                     three["guidance"], three["noise_level"], *PUBLISHED, denoise=three["strength"])
    large = mini.run("pixel_sr", "Show1PixelSR", mini.model("sr1"), *text, moving, seed, four["steps"], four["guidance"],
                     four["noise_level"], *PUBLISHED, first_frame=first, denoise=four["strength"])
    return [frames.clamp(0, 1) for frames in (clip, moving, large)]


def changes(frames: Tensor, seams: list[int], each: int) -> tuple[float, float]:
    """Mean change from frame to frame at seams and elsewhere; `each` is how many frames there are for a keyframe."""
    steps = 255 * (frames[1:] - frames[:-1]).abs().mean((1, 2, 3))
    at = torch.zeros(len(steps), dtype=torch.bool)
    for seam in seams:
        at[(seam - 1) * each:seam * each] = True
    return float(steps[at].mean()), float(steps[~at].mean())


def noise(small: Tensor, large: Tensor) -> float:
    """How much farther from its small frames the end of the enlarged clip is than its beginning."""
    again = torch.nn.functional.avg_pool2d(large.movedim(-1, 1), 4).movedim(1, -1)
    apart, part = (again - small).abs().mean((1, 2, 3)), len(small) // 8
    return float(apart[-part:].mean() / apart[:part].mean())


def look(prompt: str, stages: list[Tensor], overlap: int) -> Found:
    """What there is to say of one clip."""
    count, stride, asked = len(stages[0]), LENGTH - overlap, claim_of(prompt)
    seams = list(range(stride, count - 1, stride))

    def share(clips: list[Tensor], *parts: str) -> float:
        seen = [judge(to_bytes(clip)).first for clip in clips]
        right = [all(getattr(one, part) == getattr(asked.first, part) for part in parts) for one in seen]
        return sum(right) / len(right)

    def spans(step: int) -> list[Tensor]:
        return [stages[0][start:start + LENGTH] for start in range(0, count - LENGTH + 1, step)]

    return Found([changes(frames, seams, each) for frames, each in zip(stages, (1, BETWEEN, BETWEEN))],
                 share(spans(2), "colour", "solid"), share(spans(stride), "motion"), share([stages[0]], "motion"),
                 share([stages[2]], "motion"), noise(stages[1], stages[2]))


def row(case: tuple[int, bool], found: list[Found]) -> str:
    """The means of a case."""
    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    pairs = [[mean([one.changes[stage][side] for one in found]) for side in (0, 1)] for stage in range(len(STAGES))]
    shares = [f"{mean([getattr(one, name) for one in found]):.0%}" for name in ("same", "inside", "whole", "enlarged")]
    cells = [f"{at:.1f}, {off:.1f}" for at, off in pairs] + shares + [f"{mean([one.noise for one in found]):.2f}"]
    return f"| {case[0] or 'none'} | {'on' if case[1] else 'off'} | " + " | ".join(cells) + " |"


def keep(stages: list[Tensor], folder: Path) -> None:
    """Save the frames of every stage."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in zip(STAGES, stages):
        numpy.save(folder / f"{name}.npy", to_bytes(frames))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", type=Path, help="a ComfyUI's folder")
    parser.add_argument("--keyframes", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for all frames, uint8 .npy")
    chosen = parser.parse_args()
    mini = MiniInHost(chosen.host.resolve())
    models = {overlap: in_windows(mini.model("keyframes"), LENGTH, overlap) for overlap, _ in CASES}
    found: dict[tuple[int, bool], list[Found]] = {case: [] for case in CASES}
    for seed, prompt in product(range(chosen.seeds), PROMPTS):
        for overlap, free_noise in CASES:
            stages = draw(mini, prompt, seed, models[overlap], chosen.keyframes, free_noise)
            found[overlap, free_noise].append(look(prompt, stages, overlap))
            if chosen.save:
                keep(stages, chosen.save / f"{overlap}-{free_noise:d}-{seed}-{prompt}")
        rows = [row(case, several) for case, several in found.items()]
        print(f"\nAfter {prompt}, seed {seed}:\n", HEAD, *rows, sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
