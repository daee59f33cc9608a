"""How often the judge is right about clips that show what their captions say: rendered, and worn in a few ways.

    python benchmarks/judge_self_test.py [--seconds 300] [--seed 1000]

Prints a table. Every row gets the same share of the seconds, of one core, and draws clips until they are spent; the n-th clip
of a row follows from the seed and n alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS.parent), str(BENCHMARKS)]

from judge import Score, score  # noqa: E402
from judge_frames import judge  # noqa: E402

from mini.grammar import caption  # noqa: E402
from mini.recipes import HIGH, LOW, MIDDLE  # noqa: E402
from mini.render import render  # noqa: E402
from mini.world import draw, frame_times, keyframe_times  # noqa: E402

NOISE, LIGHT = 0.06, 0.9  # deviation of the noise, of 0..1; what is left of the contrast
HEAD = ("clips are", "frames", "solids", "clips", "colour", "form", "motion", "place", "all right", "both solids right")


def to_bytes(frames: np.ndarray) -> np.ndarray:
    return (np.clip(frames, 0, 1) * 255).astype(np.uint8)


def as_drawn(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return clip


def noisy(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return to_bytes(clip / 255 + rng.normal(0, NOISE, clip.shape))


def blurred(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every pixel is the mean of nine."""
    padded = np.pad(clip.astype(np.float32), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = clip.shape[1:3]
    return np.mean([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0).astype(np.uint8)


def faded(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return to_bytes(0.5 + LIGHT * (clip / 255 - 0.5))


Degrade = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # of a clip, uint8 (F, H, W, 3)


@dataclass(frozen=True)
class Case:
    """Clips of one kind: height and width, moments, how they are worn."""

    size: tuple[int, int]
    times: tuple[float, ...]
    degrade: Degrade = as_drawn


CASES = (
    Case(LOW, tuple(keyframe_times())), Case(MIDDLE, tuple(frame_times())), Case(HIGH, tuple(frame_times())),
    Case(LOW, tuple(keyframe_times()), noisy),
    *(Case(MIDDLE, tuple(keyframe_times()), degrade) for degrade in (noisy, blurred, faded)))


def clips(case: Case, pairs: float, seed: int) -> Iterator[tuple[np.ndarray, str]]:
    """Frames and caption of one clip after the other, about a share `pairs` of them of two solids."""
    number = 0
    while True:
        rng = np.random.default_rng((seed, number))
        scene, = draws = draw(rng, 1, pairs=pairs)
        number += 1
        if pairs < 1 or scene.kind.other is not None:  # some motions leave no room for a second solid
            yield case.degrade(to_bytes(render(draws, np.array(case.times), case.size)[0]), rng), caption(rng, scene.kind)


def judged(case: Case, pairs: float, seed: int, count: int | None = None, seconds: float = 0.0) -> Score:
    """The judge's score over so many clips, or over as many as fit into so many seconds of one core, at least one."""
    verdicts, captions = [], []
    began = time.process_time()
    for frames, said in islice(clips(case, pairs, seed), count):
        verdicts.append(judge(frames))
        captions.append(said)
        if count is None and time.process_time() - began > seconds:
            break
    return score(verdicts, captions)


def row(case: Case, pairs: float, found: Score) -> str:
    """A line of the table."""
    shares = (found.colour, found.solid, found.motion, found.place, found.every, found.pair)
    cells = [case.degrade.__name__.replace("_", " "), f"{len(case.times)} of {case.size[1]}x{case.size[0]}",
             "two" if pairs else "one", str(found.clips), *("" if share is None else f"{share:.1%}" for share in shares)]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=1000)
    chosen = parser.parse_args(arguments)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for case in CASES:
        for pairs in (0.0, 1.0):
            print(row(case, pairs, judged(case, pairs, chosen.seed, seconds=chosen.seconds / len(CASES) / 2)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
