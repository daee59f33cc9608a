"""Which stages does a style need? The mini's keyframes in a style, through later stages that have not learnt it, and that have.

    python benchmarks/style_stages.py --tokenizer DIR [--videos 4] [--save FOLDER]

Every stage learns from the same clip, as it should make it. Prints the style and the judge's shares after each stage.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import motion_world as world  # noqa: E402
from motion import learnt  # noqa: E402
from motion_style import PLAN, styled, told  # noqa: E402

from mini.evaluate import Mini, later_stages  # noqa: E402
from mini.recipes import HIGH, LOW, MIDDLE  # noqa: E402
from show1_core import cascade, load_unet  # noqa: E402
from show1_core.checkpoints import read_identity  # noqa: E402
from show1_core.pipeline import encoded  # noqa: E402
from show1_core.sampling import StageSampler  # noqa: E402
from show1_core.schedule import signal_variance  # noqa: E402
from show1_core.stages import FIRST_FRAME, INTERPOLATION, LATENT_SR, PIXEL_SR, Stage  # noqa: E402
from show1_core.tuning import adapters, examples, motion  # noqa: E402

FRAMES = 29
LATER = {INTERPOLATION: (LOW, 120), FIRST_FRAME: (MIDDLE, 60), PIXEL_SR: (MIDDLE, 60), LATENT_SR: (HIGH, 60)}  # size, steps


class Learnt(Mini):
    """The mini with what its later stages have learnt."""

    def __init__(self, tokenizer: Path) -> None:
        super().__init__(world.FOLDER, tokenizer)
        self.made: dict[str, adapters.Adapters] = {}
        self.stack = ExitStack()

    def run(self, stage: Stage, prompts: list[str]) -> StageSampler:
        """A stage's sampling, whose network is its own, with what it has learnt."""
        sampler = super().run(stage, prompts)
        if stage.name in self.made:
            self.stack.enter_context(adapters.attached(sampler.unet, self.made[stage.name]))
        return sampler

    def learn(self, stage: Stage) -> float:
        """Let a stage learn the style; the CPU seconds that it took."""
        began, folder, (size, steps) = time.process_time(), world.FOLDER / stage.name, LATER[stage]
        images = torch.from_numpy(world.style_clip(FRAMES, size))
        example = examples.example_of(read_identity(folder), images, self.text([world.STYLE_PROMPT]), partial(encoded, self.vae))
        network = motion.of_library(load_unet(folder), signal_variance(stage.schedule))
        self.made[stage.name] = learnt(network, example, replace(PLAN, steps=steps))[0]
        return time.process_time() - began


def followed(mini: Learnt, video: np.ndarray, prompt: str) -> dict[str, np.ndarray]:
    """Keyframes (F, H, W, 3) in uint8 after every stage, each with what it has learnt."""
    return later_stages(mini, cascade.to_clip(torch.from_numpy(video).float() / 255), prompt, 0, "sr2")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--save", type=Path, help="folder for the videos")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    prompts = world.styled_prompts(chosen.videos)
    keyframes, seconds = styled(chosen.tokenizer, prompts).drawn(PLAN)
    mini = Learnt(chosen.tokenizer)
    print(f"keyframes learnt in {seconds:.0f} s", file=sys.stderr)
    print("| style learnt by | after | style | colour | solid | motion |\n|---|---|---|---|---|---|")
    for whose in ("the keyframes alone", "every stage"):
        if whose == "every stage":
            print("\n".join(f"{stage.name} learnt in {mini.learn(stage):.0f} s" for stage in LATER), file=sys.stderr)
        found = [followed(mini, video, prompt) for video, prompt in zip(keyframes, prompts, strict=True)]
        for stage in found[0]:
            videos = [seen[stage] for seen in found]
            print(f"| {whose} | {stage} | {told(videos, prompts)} |", flush=True)
            if chosen.save is not None:
                chosen.save.mkdir(parents=True, exist_ok=True)
                np.save(chosen.save / f"style of {whose}, {stage}.npy", np.stack(videos))
    return 0


if __name__ == "__main__":
    sys.exit(main())
