"""How few and how cheap steps of each stage may be, on the mini without a host: calls, seconds, judge, PSNR.

    python benchmarks/pareto.py --tokenizer DIR [--stage sr1 ...] [--prompts 4] [--frames 29] [--save FOLDER]

Keyframes are drawn from noise. Every other stage is given what it would be given if the stages before were perfect: small or
few frames of a rendered scene, whose large or many frames are the truth. A row is a way to sample (`ways.py`); PSNR, in dB, is
to the stage's own many steps from the same noise, and to the truth; `nothing` is the input, enlarged or blended. Seconds are
of one core, of sampling alone; bf16 only on a CPU that has it. Right is what the judge finds so: colour, solid, place and,
where all frames are there, motion.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "benchmarks")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from judge import claim_of, judge  # noqa: E402
from judge_frames import Verdict  # noqa: E402
from torch import Tensor  # noqa: E402
from ways import Way, WaySampler  # noqa: E402

from mini.evaluate import Mini, to_bytes  # noqa: E402
from mini.grammar import kinds  # noqa: E402
from mini.recipes import HIGH, LOW, MIDDLE  # noqa: E402
from mini.settings import SETTINGS  # noqa: E402
from mini.tasks import clips as rendered  # noqa: E402
from mini.world import Scene, frame_times, keyframe_times, scene_of  # noqa: E402
from show1_core import cascade  # noqa: E402
from show1_core.cpu import cpu_has_bf16  # noqa: E402
from show1_core.pipeline import encoded  # noqa: E402
from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, STAGES, Stage  # noqa: E402
from show1_core.tuning import objectives  # noqa: E402

SEED = 3
SCENES = 11  # seed of the scenes
INFINITE = float("inf")
BF16 = torch.bfloat16
# The first way of each is what the others are compared with: many steps. The second ships.
WAYS: dict[Stage, tuple[Way, ...]] = {
    KEYFRAMES: (
        Way(40), Way(12), Way(25), Way(8), Way(5), Way(3), Way(12, solver="euler"), Way(12, guidance=2.0), Way(25, guidance=5.0),
        Way(25, guidance=5.0, guided=(3.0, INFINITE)), Way(12, dtype=BF16)),
    INTERPOLATION: (
        Way(25), Way(8), Way(4), Way(2), Way(8, spacing="karras"), Way(10, 0.3), Way(10, 0.1), Way(8, dtype=BF16)),
    FIRST_FRAME: (
        Way(30, 0.7), Way(20, 0.7), Way(10, 0.7), Way(5, 0.7), Way(10, 0.7, "dpmpp_2m"), Way(5, 0.7, "dpmpp_2m"), Way(10, 0.1),
        Way(20, 0.7, dtype=BF16)),
    PIXEL_SR: (
        Way(15, 0.6), Way(5, 0.6), Way(4, 0.5), Way(2, 0.5), Way(5, 0.6, "euler"), Way(10, 0.2), Way(10, 0.1),
        Way(5, 0.6, dtype=BF16)),
    LATENT_SR: (Way(27, 0.15), Way(10, 0.15), Way(20, 0.05), Way(5, 0.3), Way(10, 0.3), Way(10, 0.15, dtype=BF16)),
}


@dataclass
class Row:
    """A way's frames of every prompt, uint8 (F, H, W, 3) each, with its passes through the network and seconds a prompt."""

    way: str
    clips: list[np.ndarray]
    passes: float = 0.0
    seconds: float = 0.0


def psnr(clips: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Median over clips of levels 0..255 of the peak signal-to-noise ratio, in dB."""
    pairs = [[torch.from_numpy(clip).double() for clip in pair] for pair in zip(clips, others, strict=True)]
    return float(np.median([objectives.psnr(one, other, peak=255) for one, other in pairs]))


def right(clip: np.ndarray, prompt: str) -> bool:
    """Whether the judge finds what the prompt says; of a part of the frames all but the motion."""
    seen, asked = judge(clip), claim_of(prompt)
    if len(clip) in (len(keyframe_times()), len(frame_times())):
        return seen == asked
    return Verdict(replace(seen.first, motion=asked.first.motion), seen.place, seen.second, seen.relation) == asked


def scenes(count: int) -> list[Scene]:
    """Scenes of one solid, spread over the kinds that training knows."""
    rng = np.random.default_rng(SCENES)
    pool = kinds(held_out=False)
    return [scene_of(rng, pool[index]) for index in rng.permutation(len(pool))[:count]]


class Bench:
    """Runs ways of a stage on so many scenes; super-resolution on the first `frames` of a clip."""

    def __init__(self, mini: Mini, count: int, frames: int) -> None:
        self.mini, self.scenes, self.frames, self.vae = mini, scenes(count), frames, mini.vae
        self.prompts = [scene.kind.caption for scene in self.scenes]

    def given(self, stage: Stage, scene: Scene) -> Tensor:
        """What a stage begins with, (1, 3, F, H, W)."""
        times = keyframe_times() if stage is INTERPOLATION else self.times(stage)
        return rendered([scene], times, MIDDLE if stage is LATENT_SR else LOW)

    def times(self, stage: Stage) -> np.ndarray:
        """When a stage's frames are."""
        return frame_times()[:{INTERPOLATION: None, FIRST_FRAME: 1}.get(stage, self.frames)]

    def truth(self, stage: Stage, scene: Scene) -> np.ndarray:
        """What a perfect stage would make of it."""
        size = {INTERPOLATION: LOW, LATENT_SR: HIGH}.get(stage, MIDDLE)
        return to_bytes(cascade.to_images(rendered([scene], self.times(stage), size)))

    def nothing(self, stage: Stage, scene: Scene) -> np.ndarray:
        """The input, blended or enlarged as the stage itself does it before it begins."""
        clip = self.given(stage, scene)
        if stage is LATENT_SR:
            return to_bytes(cascade.resize(cascade.to_images(clip), HIGH))
        made = cascade.join_pairs(cascade.interpolation_condition(clip)[:, :3]) if stage is INTERPOLATION else \
            cascade.enlarge(clip, 4)
        return to_bytes(cascade.to_images(made))

    def run(self, stage: Stage, sampler: WaySampler, scene: Scene) -> Tensor:
        """A stage's clip, or latents, of one scene."""
        setting, redraw, clip = SETTINGS[stage.name], sampler.denoise < 1, self.given(stage, scene)
        if stage is INTERPOLATION:
            return cascade.interpolate(sampler, clip, SEED, redraw)
        if stage is FIRST_FRAME:
            return cascade.first_frame(sampler, clip, stage.schedule, setting.noise_level, SEED, redraw)
        if stage is PIXEL_SR:
            first = rendered([scene], frame_times()[:1], MIDDLE)
            return cascade.upscale(sampler, clip, first, stage.schedule, setting.noise_level, SEED, redraw)
        return cascade.refine(replace(sampler, latent_scale=self.vae.config.scaling_factor),
                              partial(encoded, self.vae), cascade.to_images(clip), HIGH, SEED)

    def seen(self, stage: Stage, clip: Tensor) -> np.ndarray:
        """What is seen of a stage's clip."""
        if stage is not LATENT_SR:
            return to_bytes(cascade.to_images(clip))
        return to_bytes((self.vae.decode(clip[0].transpose(0, 1)).sample * 0.5 + 0.5).movedim(1, -1))

    def row(self, stage: Stage, way: Way) -> Row:
        """All prompts in one way: keyframes as a batch, other stages one by one."""
        if stage is KEYFRAMES:
            sampler = WaySampler.of(self.mini.run(stage, self.prompts), way)
            noise = torch.randn((len(self.prompts), 3, 8, *LOW), generator=cascade.seeded(SEED))
            made = sampler(noise, cascade.Condition(), None, cascade.seeded(SEED))
            return Row(str(way), [self.seen(stage, clip[None]) for clip in made], sum(sampler.passes),
                       sum(sampler.seconds) / len(self.prompts))
        samplers = [WaySampler.of(self.mini.run(stage, [prompt]), way) for prompt in self.prompts]
        clips = [self.seen(stage, self.run(stage, sampler, scene))
                 for sampler, scene in zip(samplers, self.scenes, strict=True)]
        return Row(str(way), clips, sum(sum(one.passes) for one in samplers) / len(samplers),
                   sum(sum(one.seconds) for one in samplers) / len(samplers))

    def table(self, stage: Stage) -> list[Row]:
        """The stage's rows, printed as they come."""
        known = stage is not KEYFRAMES
        rows = [Row("nothing", [self.nothing(stage, scene) for scene in self.scenes])] if known else []
        truth = [self.truth(stage, scene) for scene in self.scenes] if known else None
        print(f"\n{stage.name}, {len(self.prompts)} prompts\n\n| way | passes | CPU seconds | right | dB to many steps | dB to "
              "the truth |\n|---|---|---|---|---|---|")
        for row in rows:
            print(self.line(row, None, truth), flush=True)
        many = None
        for way in (way for way in WAYS[stage] if way.dtype is not BF16 or cpu_has_bf16()):
            rows.append(self.row(stage, way))
            print(self.line(rows[-1], many, truth), flush=True)
            many = many or rows[-1].clips
        return rows

    def line(self, row: Row, many: list[np.ndarray] | None, truth: list[np.ndarray] | None) -> str:
        """A row of the table."""
        good = sum(right(clip, prompt) for clip, prompt in zip(row.clips, self.prompts, strict=True))
        distances = ("" if others is None else f"{psnr(row.clips, others):.1f}" for others in (many, truth))
        return f"| {row.way} | {row.passes:g} | {row.seconds:.2f} | {good} of {len(self.prompts)} | {' | '.join(distances)} |"


def main() -> int:
    """The command line."""
    names = {stage.name: stage for stage in STAGES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--mini", type=Path, default=REPO / "models" / "show1-mini")
    parser.add_argument("--stage", nargs="+", choices=names, default=list(names))
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--frames", type=int, default=29, help="of a clip, that super-resolution is given")
    parser.add_argument("--save", type=Path, help="folder for the frames, one .npz a stage")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(Mini(chosen.mini, chosen.tokenizer), chosen.prompts, chosen.frames)
    with torch.no_grad():
        for name in chosen.stage:
            rows = bench.table(names[name])
            if chosen.save:
                chosen.save.mkdir(parents=True, exist_ok=True)
                arrays: dict[str, Any] = {row.way: np.stack(row.clips) for row in rows}
                np.savez(chosen.save / f"{name}.npz", **arrays)
    return 0


if __name__ == "__main__":
    sys.exit(main())
