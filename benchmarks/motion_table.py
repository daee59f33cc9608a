"""motion.md: what benchmarks/motion.py has found, as tables."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

OUTPUT = Path(__file__).resolve().parent / "motion.md"
CORRELATION, AMPLITUDE = 0.7, 0.5  # what a video needs to count as moving like the reference
Row = dict[str, Any]

HEAD = """# A motion from one clip, learnt by the mini

Made by `python benchmarks/motion.py`, which goes on where it was stopped. {machine}

One rendered clip of a green cube on a path that the mini's words do not know is learnt; then other colours and solids are
drawn with the same words but for those. A video counts when the path of its centre correlates with the reference's by
{correlation} or more, with at least {amplitude} of its amplitude, on the worse of both axes. `prior`: how much of the start is
the clip's own noise. Errors are the standard deviation over trainings (several seeds or motions); where there is one training,
of the share itself, by its binomial.

*temporal layers* are temporal attention and convolutions. Unless its name says otherwise a way trains whole matrices for 100
steps at rate 0.0007. That rate was chosen for `frame error` on the temporal layers, so this is no contest of losses each at its
best.
"""


def moved(videos: Iterable[list[float]]) -> list[bool]:
    return [correlation >= CORRELATION and amplitude >= AMPLITUDE for correlation, amplitude, _ in videos]


def summary(row: Row) -> str:
    """One training in a line."""
    parts = []
    for prior, videos in row["priors"].items():
        correlation, amplitude, colour = np.mean(np.array(videos, float), axis=0)
        parts.append(f"prior {prior}: moved {np.mean(moved(videos)):.0%}, correlation {correlation:.2f}, "
                     f"amplitude {amplitude:.2f}, colour {colour:.0%}")
    return "; ".join(parts) + f"; {row['seconds']} s"


def spread(values: list[float], counted: int | None = None) -> str:
    """Mean and error; of one share of `counted` videos its binomial error."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) if len(values) > 1 else (mean * (1 - mean) / counted) ** 0.5 if counted else None
    return f"{mean:.2f}" if error is None else f"{mean:.2f} ± {error:.2f}"


def line(way: str, prior: str, rows: list[Row], where: str) -> str:
    """One line of a table: a way and prior over some trainings."""
    videos = [np.array(row["priors"][prior], float) for row in rows]
    shares, count = [float(np.mean(moved(each))) for each in videos], len(videos[0])
    correlations, amplitudes, colours = ([float(each[:, column].mean()) for each in videos] for column in range(3))
    cells = (way, where, prior, str(len(rows)), str(count), spread(shares, count), spread(correlations), spread(amplitudes),
             spread(colours, count))
    return "| " + " | ".join(cells) + " |"


def write(rows: list[Row]) -> None:
    """The page, from all that has been found so far."""
    last = max(row["date"] for row in rows)
    machine = f"{platform.processor() or platform.machine()}, PyTorch {torch.__version__}; last run {last}."
    text = [HEAD.format(machine=machine, correlation=CORRELATION, amplitude=AMPLITUDE),
            "| way | motion | prior | trainings | prompts | moved | correlation | amplitude | colour right |",
            "|---|---|---|---|---|---|---|---|---|"]
    for way in dict.fromkeys(row["way"] for row in rows):
        mine = [row for row in rows if row["way"] == way]
        for prior in dict.fromkeys(prior for row in mine for prior in row["priors"]):
            with_it = [row for row in mine if prior in row["priors"]]
            motions = list(dict.fromkeys(row["motion"] for row in with_it))
            text += [line(way, prior, [row for row in with_it if row["motion"] == motion], motion) for motion in motions]
            if len(motions) > 1:
                text.append(line(way, prior, with_it, "all"))
    OUTPUT.write_text("\n".join(text) + "\n", encoding="utf-8")
