"""Do LoRAs of the mini add up? Two motions by their strengths, a motion with a style, and a motion in some of the steps.

    python benchmarks/motion_several.py --tokenizer DIR [--prompts 8]

What was learnt, and the videos, are kept in output/motion; files of another base are learnt again. Prints the tables of
docs/motion.md. Of two motions with strengths a and b the path that is asked for is a times the one's and b times the other's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import motion_style  # noqa: E402
import motion_table as table  # noqa: E402
import motion_world as world  # noqa: E402
from motion import PLAN, VIDEOS, Bench  # noqa: E402

from mini.evaluate import with_error  # noqa: E402
from show1_core import cascade  # noqa: E402
from show1_core.checkpoints import read_identity  # noqa: E402
from show1_core.stages import KEYFRAMES  # noqa: E402
from show1_core.tuning import adapters, inversion, lora_files  # noqa: E402

TWO, STYLE = ("diagonal", "zigzag"), "style"


@dataclass(frozen=True)
class Mix:
    """Strengths of what was learnt, by its name; how much of the start is the noise of the motions' clips; and in which part
    of the steps, from the first, the motions act."""

    strengths: Mapping[str, float]
    prior: float = 0.5
    part: float = 1.0

    @property
    def motions(self) -> dict[str, float]:
        return {name: strength for name, strength in self.strengths.items() if name in TWO}


PAIRS = ((1, 0), (0.75, 0.25), (0.5, 0.5), (0.25, 0.75), (0, 1))
MOTIONS = tuple(Mix(dict(zip(TWO, pair, strict=True)), prior) for prior in (0.5, 0.0) for pair in PAIRS)
STYLED = {"none": Mix({}), "the zigzag": Mix({"zigzag": 1}), "the style": Mix({STYLE: 1}), "both": Mix({"zigzag": 1, STYLE: 1})}
IN_PART = {"the zigzag from fresh noise": Mix({"zigzag": 1}, 0.0),
           "the zigzag from fresh noise, in the first half of the steps": Mix({"zigzag": 1}, 0.0, 0.5)}


class Several:
    """The bench, what it has learnt, and each clip's own noise."""

    def __init__(self, tokenizer: Path, prompts: int) -> None:
        self.bench, identity = Bench(tokenizer, world.prompts(prompts)), read_identity(world.FOLDER / KEYFRAMES.name)
        self.clips = {name: clip_of(world.clip(path(world.TIMES), *world.SUBJECT)) for name, path in world.MOTIONS.items()
                      if name in TWO}
        self.noises = {name: self.bench.inverted(clip) for name, clip in self.clips.items()}
        self.base = lora_files.fingerprint(identity, self.bench.unet)
        self.made = {name: self.learnt(name) for name in (*TWO, STYLE)}

    def learnt(self, name: str) -> adapters.Adapters:
        """What was learnt of a motion or the style: from its file, or now."""
        file = VIDEOS / f"{name}.safetensors"
        if file.is_file():
            tensors, record = lora_files.read(file)
            if record.base == self.base:
                return lora_files.adapters_from(tensors, self.bench.unet)
        plan, clip, prompt = (motion_style.PLAN, clip_of(world.style_clip()), world.STYLE_PROMPT) if name == STYLE else (
            PLAN, self.clips[name], world.words(*world.SUBJECT))
        made, losses = self.bench.learnt(plan, clip, prompt)
        file.parent.mkdir(parents=True, exist_ok=True)
        lora_files.save(file, made, lora_files.Record(
            self.base, KEYFRAMES.name, plan.train, plan.loss, plan.steps, plan.learning_rate, plan.rank, plan.seed, prompt,
            lora_files.hash_of(clip), tuple(losses)))
        return made

    def drawn(self, mix: Mix) -> list[np.ndarray]:
        """Keyframes of all prompts, (F, H, W, 3) uint8 each."""
        handles = {name: adapters.attach(self.bench.unet, self.made[name], strength) for name, strength in mix.strengths.items()}

        def take_off(names: Iterable[str]) -> None:
            for handle in chain.from_iterable(handles[name] for name in names):
                handle.remove()

        def after(step: int, steps: int, denoised: Tensor) -> None:
            if step + 1 >= mix.part * steps:
                take_off(mix.motions)

        try:
            return self.bench.drawn(None, self.start(mix), after)
        finally:
            take_off(handles)

    def start(self, mix: Mix) -> Tensor:
        """What a mix begins from: the seeds' noise, and that of the motions' clips by their strengths."""
        clips = [strength * self.noises[name] for name, strength in mix.motions.items()]
        if not clips:
            return self.bench.noise
        return inversion.blended(torch.stack(clips).sum(dim=0), self.bench.noise, mix.prior)


def clip_of(frames: np.ndarray) -> Tensor:
    """Frames (F, H, W, 3) in 0..1 as a clip (1, 3, F, H, W)."""
    return cascade.to_clip(torch.from_numpy(frames))


def path_of(mix: Mix) -> world.Path2:
    """The path that the motions of a mix ask for."""
    return np.sum([strength * world.MOTIONS[name](world.TIMES) for name, strength in mix.motions.items()], axis=0)


def shares(video: np.ndarray) -> np.ndarray:
    """(2,) how much of each motion is in the height of a video's path: the two numbers that fit it best."""
    heights = np.stack([world.MOTIONS[name](world.TIMES)[:, 1] for name in TWO], axis=1)
    seen = world.path_of(video)[:, 1]
    if np.isnan(seen).any():
        return np.zeros(len(TWO))
    return np.linalg.lstsq(heights - heights.mean(axis=0), seen - seen.mean(), rcond=None)[0]


def judged(videos: list[np.ndarray], path: world.Path2, prompts: list[tuple[str, str]]) -> str:
    """Cells: the share that moves along a path, correlation and amplitude, and the share in the right colour."""
    found = [(*world.compared(video, path), float(world.colour_of(video) == colour))
             for video, (_, colour) in zip(videos, prompts, strict=True)]
    correlation, amplitude, colour = (list(column) for column in zip(*found, strict=True))
    moved = np.mean(table.moved([list(row) for row in found]))
    return f"{moved:.0%} | {with_error(correlation)} | {with_error(amplitude)} | {np.mean(colour):.0%}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--prompts", type=int, default=8)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    several = Several(chosen.tokenizer, chosen.prompts)
    prompts = several.bench.prompts

    def drawn(name: str, mix: Mix) -> list[np.ndarray]:
        videos = several.drawn(mix)
        VIDEOS.mkdir(parents=True, exist_ok=True)
        np.save(VIDEOS / f"several, {name}.npy", np.stack(videos))
        return videos

    print("| prior | diagonal | zigzag | moved so | correlation | amplitude | colour | of the diagonal | of the zigzag |")
    print("|---|---|---|---|---|---|---|---|---|")
    for mix in MOTIONS:
        strengths = [f"{number:g}" for number in (mix.prior, *(mix.strengths[name] for name in TWO))]
        videos = drawn(", ".join(strengths), mix)
        found = [with_error(list(column)) for column in np.stack([shares(video) for video in videos], axis=1)]
        print(f"| {' | '.join((*strengths, judged(videos, path_of(mix), prompts), *found))} |", flush=True)
    zigzag = path_of(STYLED["the zigzag"])
    print("\n| LoRA | moved on the zigzag | correlation | amplitude | colour | style |\n|---|---|---|---|---|---|")
    for name, mix in {**STYLED, **IN_PART}.items():
        videos = drawn(name, mix)
        told = judged(videos, zigzag, prompts), with_error([world.style_of(video) for video in videos])
        print(f"| {name} | {' | '.join(told)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
