"""How often the scorer prefers a clip's own caption to one that is nearly right, on rendered clips that it has never seen.

    python -m mini.compare models/show1-mini/scorer --clips 256
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from show1_core.evaluation.clip import ClipScorer
from show1_core.evaluation.scores import similarity

from .grammar import Kind, kinds
from .near_misses import near_misses
from .recipes import LOW
from .render import render_scene
from .world import keyframe_times, scene_of


def held_out_pairs(count: int, seed: int) -> list[Kind]:
    """Kinds of two solids, the first of them a combination kept from training."""
    rng = np.random.default_rng(seed)
    pool = [kind for kind in kinds(held_out=True) if kind.beside(rng).other is not None]
    return [pool[index].beside(rng) for index in rng.integers(len(pool), size=count)]


def preferred(scorer: ClipScorer, wanted: Sequence[Kind], seed: int = 0) -> dict[str, float]:
    """By what is changed in the caption, the share of clips of which the scorer prefers the caption that is right."""
    rng = np.random.default_rng(seed)
    won: dict[str, list[bool]] = {}
    for kind in wanted:
        clip = torch.from_numpy(render_scene(scene_of(rng, kind), keyframe_times(), LOW))
        near = near_misses(rng, kind)
        frames, texts = scorer.frames(clip), scorer.texts([kind.caption, *(other.caption for other in near.values())])
        right, *others = [similarity(frames, text) for text in texts]
        for change, other in zip(near, others, strict=True):
            won.setdefault(change, []).append(right > other)
    return {change: float(np.mean(each)) for change, each in won.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = preferred(ClipScorer.from_folder(arguments.folder), held_out_pairs(arguments.clips, arguments.seed))
    for change, share in found.items():
        print(f"{change:20} {share:.1%}")


if __name__ == "__main__":
    main()
