"""Measure the enlarging stages of the mini beside bicubic, on held-out clips whose rendered originals are known.

    python -m mini.beside_bicubic --tokenizer DIR [--clips 64] [--figures models/show1-mini/beside-bicubic.json]

Every stage is sampled by the settings that ship, from rendered frames of the size it is given. PSNR in dB, and how steep edges
are as a share of the original's: mean and standard error over the clips. The card reads the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from show1_core import cascade
from show1_core.pipeline import encoded

from .card import BESIDE
from .evaluate import Mini, mean_and_error
from .expert import SEED, Sample, compared, decoded, enlarged, held_out
from .recipes import HIGH, LOW, MIDDLE
from .train import FINISHED

Size = tuple[int, int]


@dataclass(frozen=True)
class Row:
    """What enlarges frames from one size to another; `bicubic`: the size that bicubic starts from, if not the same."""

    stage: str
    given: Size
    made: Size
    bicubic: Size | None = None


FIRST, PIXEL = Row("first frame", LOW, MIDDLE), Row("pixel super-resolution", LOW, MIDDLE)
AUTOENCODER, LATENT = Row("autoencoder alone", HIGH, HIGH, MIDDLE), Row("latent super-resolution alone", MIDDLE, HIGH)
BOTH, THEN_BICUBIC = Row("both super-resolutions", LOW, HIGH), Row("pixel super-resolution, then bicubic", LOW, HIGH)
ROWS = (FIRST, PIXEL, AUTOENCODER, LATENT, BOTH, THEN_BICUBIC)


def drawn(mini: Mini, sample: Sample, seed: int) -> Iterator[tuple[Row, Tensor]]:
    """Frames (F, H, W, 3) in 0..1 that each row makes of a clip."""
    low, middle = cascade.to_clip(sample.low), cascade.to_clip(sample.middle)
    first = mini.first_frame(low, sample.caption, seed)
    yield FIRST, cascade.to_images(first)
    large = mini.pixel_sr(low, first, sample.caption, seed)
    yield PIXEL, cascade.to_images(large)
    yield AUTOENCODER, decoded(mini.vae, encoded(mini.vae, sample.high).mean)
    yield LATENT, mini.latent_sr(middle, sample.caption, seed)
    yield BOTH, mini.latent_sr(large, sample.caption, seed)
    yield THEN_BICUBIC, enlarged(cascade.to_images(large).clamp(0, 1))


@torch.no_grad()
def measured(mini: Mini, samples: Sequence[Sample]) -> dict[Row, np.ndarray]:
    """(N, 2, 2) by row: PSNR in dB and sharpness of every clip, of the stage and then of bicubic."""
    found: dict[Row, list[Any]] = {row: [] for row in ROWS}
    for number, sample in enumerate(samples):
        sizes = {LOW: sample.low, MIDDLE: sample.middle, HIGH: sample.high}
        for row, frames in drawn(mini, sample, number):
            frames = frames.clamp(0, 1)
            plain, truth = enlarged(sizes[row.bicubic or row.given], row.made)[: len(frames)], sizes[row.made][: len(frames)]
            found[row].append((compared(frames, truth), compared(plain, truth)))
        print(f"{number + 1}/{len(samples)} {sample.caption}", file=sys.stderr, flush=True)
    return {row: np.array(values) for row, values in found.items()}


def _mean(values: np.ndarray) -> list[float]:
    """Mean and standard error of (N,), as they are written."""
    return [round(value, 4) for value in mean_and_error(values)]


def figures(found: dict[Row, np.ndarray]) -> dict[str, Any]:
    """What is written; `ahead`: of bicubic, in PSNR, clip by clip."""
    rows = [{"stage": row.stage, "from": row.given[::-1], "to": row.made[::-1], "bicubic_from": (row.bicubic or row.given)[::-1],
             "psnr": _mean(values[:, 0, 0]), "edges": _mean(values[:, 0, 1]),
             "bicubic_psnr": _mean(values[:, 1, 0]), "bicubic_edges": _mean(values[:, 1, 1]),
             "ahead": _mean(values[:, 0, 0] - values[:, 1, 0])} for row, values in found.items()]
    return {"clips": len(next(iter(found.values()))), "seed": SEED, "rows": rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--models", type=Path, default=FINISHED)
    parser.add_argument("--clips", type=int, default=64, help="at least two")
    parser.add_argument("--figures", type=Path, help=f"{BESIDE} in the folder of the models if not given")
    chosen = parser.parse_args(arguments)
    if chosen.clips < 2:
        parser.error(f"--clips is {chosen.clips}; a standard error takes two or more")
    told = figures(measured(Mini(chosen.models, chosen.tokenizer), held_out(chosen.clips)))
    (chosen.figures or chosen.models / BESIDE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
