"""Does the mini learn a motion from one clip, and a style? Sets of layers, losses and starts, judged over many prompts.

    python benchmarks/motion.py --tokenizer DIR [--only WAY ...] [--prompts 24] [--seeds 3]

Every finished training is kept in motion.json, so the command goes on where it was stopped; motion.md is the table. Other
weights or guidance of the mini begin a new one. What the world looks like and how large it is, is in motion_world.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

import motion_table  # noqa: E402
import motion_world as world  # noqa: E402
from regression import weights_digest  # noqa: E402

from mini.evaluate import Mini, to_bytes  # noqa: E402
from show1_core import cascade, load_unet  # noqa: E402
from show1_core.sampling import NetworkDenoiser, Progress, StageSampler, silent  # noqa: E402
from show1_core.schedule import signal_variance  # noqa: E402
from show1_core.stages import KEYFRAMES  # noqa: E402
from show1_core.tuning import adapters, inversion, motion  # noqa: E402

RESULTS, VIDEOS = BENCHMARKS / "motion.json", BENCHMARKS.parent / "output" / "motion"
SAMPLING_STEPS, INVERSION_STEPS = 8, 25
FIRST_SEED = 100  # of the noises that prompts are drawn from
PLAN = motion.Plan(steps=100, learning_rate=7e-4, rank=0, train=adapters.TEMPORAL_LAYERS, loss="frame error")


@dataclass(frozen=True)
class Way:
    """One way to learn, or none; which motions and how many training seeds it is tried on; `priors` of the start."""

    name: str
    plan: motion.Plan | None
    motions: tuple[str, ...] = ("zigzag",)
    seeds: int | None = 1  # None: as many as asked for
    priors: tuple[float, ...] = (0.5,)
    place: str = world.DEFAULT_PLACE


WAYS = (
    Way("no training", None, tuple(world.MOTIONS)),
    Way("frame error, temporal layers", PLAN, tuple(world.MOTIONS), None),
    Way("frame error, temporal layers, by day", PLAN, place="day"),
    Way("frame error, temporal layers, fresh noise", PLAN, priors=(0.0,)),
    Way("frame error, q k v", replace(PLAN, train=adapters.QKV)),
    Way("frame cosine (VMC), q k v", replace(PLAN, train=adapters.QKV, loss=motion.FRAME_COSINE)),
    Way("VMC as published: 400 steps, rate 0.0001", motion.Plan(rank=0)),
    Way("frame cosine, temporal layers", replace(PLAN, loss=motion.FRAME_COSINE)),
    Way("debiased, temporal layers", replace(PLAN, loss="debiased")),
    Way("noise, temporal layers", replace(PLAN, loss="noise")),
    Way("frame error, temporal layers, rank 32", replace(PLAN, rank=32)),
)


@dataclass
class Bench:
    """The keyframe model of the mini, its text encoder, and what is drawn with it."""

    tokenizer: Path
    prompts: list[tuple[str, str]]

    def __post_init__(self) -> None:
        self.unet = load_unet(world.FOLDER / KEYFRAMES.name)
        self.network = motion.of_library(self.unet, signal_variance(KEYFRAMES.schedule))
        self.encoder = Mini(world.FOLDER, self.tokenizer).text
        self.ask(self.prompts)

    def ask(self, prompts: list[tuple[str, str]]) -> None:
        """Draw these prompts from now on, each from a noise of its own."""
        shape = (1, 3, world.FRAMES, *world.SIZE)
        self.prompts, noises = prompts, [torch.randn(shape, generator=cascade.seeded(FIRST_SEED + take))
                                         for take in range(len(prompts))]
        self.noise = torch.cat(noises) if noises else torch.empty(0)

    @torch.no_grad()
    def text(self, prompts: list[str]) -> Tensor:
        return self.encoder(prompts)

    def drawn(self, made: adapters.Adapters | None, noise: Tensor, progress: Progress = silent) -> list[np.ndarray]:
        """Keyframes of all prompts, (F, H, W, 3) uint8 each."""
        states = self.text(["", *(prompt for prompt, _ in self.prompts)])
        run = StageSampler(self.unet, KEYFRAMES.schedule, states[1:], states[:1], SAMPLING_STEPS, world.GUIDANCE,
                           progress=progress)
        with adapters.attached(self.unet, made) if made else contextlib.nullcontext():
            clips = run(noise, cascade.Condition(), None, cascade.seeded(0))
        return [to_bytes(cascade.to_images(clip[None])) for clip in clips]

    @torch.no_grad()
    def inverted(self, clip: Tensor) -> Tensor:
        """The clip's noise, under empty text, by the model as it was (numerics 2.8)."""
        text = self.unet.prepare(self.text([""]))
        denoise = NetworkDenoiser(self.unet, KEYFRAMES.schedule, text, cascade.Condition(), 1.0)
        return inversion.invert(denoise, clip, inversion.rising_sigmas(KEYFRAMES.schedule, INVERSION_STEPS).tolist())

    def learnt(self, plan: motion.Plan, clip: Tensor, prompt: str) -> tuple[adapters.Adapters, list[float]]:
        """What a plan learns from a clip (1, 3, F, H, W), and its losses."""
        return learnt(self.network, motion.Example(clip, self.text([prompt])), plan)


def learnt(network: motion.Network, example: motion.Example, plan: motion.Plan) -> tuple[adapters.Adapters, list[float]]:
    """What a plan learns from an example, and its losses."""
    made = adapters.new_adapters(network.unet, plan.train, plan.rank, plan.seed)
    tuner = motion.Tuner(network, made, example, plan)
    while tuner.step < plan.steps:
        tuner.advance()
    return made, tuner.losses


def tried(bench: Bench, way: Way, name: str, seed: int) -> dict[str, object]:
    """One training judged: for each prior, the correlation, amplitude and colour of every prompt's video."""
    path = world.MOTIONS[name](world.TIMES)
    clip = cascade.to_clip(torch.from_numpy(world.clip(path, *world.SUBJECT)))
    began, losses, made = time.process_time(), [], None
    if way.plan is not None:
        made, losses = bench.learnt(replace(way.plan, seed=seed), clip, world.words(*world.SUBJECT))
    seconds, inverted, found = time.process_time() - began, bench.inverted(clip), {}
    for prior in way.priors:
        videos = bench.drawn(made, inversion.blended(inverted, bench.noise, prior))
        keep(f"{way.name}, {name}, prior {prior:g}, seed {seed}", videos)
        found[f"{prior:g}"] = [(*world.compared(video, path), world.colour_of(video) == colour)
                               for video, (_, colour) in zip(videos, bench.prompts, strict=True)]
    return {"way": way.name, "motion": name, "seed": seed, "seconds": round(seconds), "priors": found,
            "loss": [float(np.mean(losses[:50])), float(np.mean(losses[-50:]))] if losses else None}


def keep(name: str, videos: list[np.ndarray]) -> None:
    """Put the videos beside the others of this run, for looking at."""
    VIDEOS.mkdir(parents=True, exist_ok=True)
    np.save(VIDEOS / f"{name.replace(':', ',')}.npy", np.stack(videos))  # a colon is no part of a file's name on Windows


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--only", nargs="*", default=[way.name for way in WAYS], metavar="WAY")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    made_by = {"weights": weights_digest(), "guidance": world.GUIDANCE}
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    results = [row for row in kept if made_by.items() <= row.items()]
    known = {(row["way"], row["motion"], row["seed"], row["prompts"]) for row in results}
    bench = Bench(chosen.tokenizer, [])
    for way in (way for way in WAYS if way.name in chosen.only):
        bench.ask(world.prompts(chosen.prompts, way.place))
        for seed in range(way.seeds or chosen.seeds):
            for name in way.motions:
                if (way.name, name, seed, chosen.prompts) in known:
                    continue
                row = tried(bench, way, name, seed) | made_by | {
                    "prompts": chosen.prompts, "date": date.today().isoformat()}
                results.append(row)
                RESULTS.write_text(json.dumps(results) + "\n", encoding="utf-8")
                print(way.name, name, seed, motion_table.summary(row), flush=True)
    motion_table.write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
