"""What stills of the small world show, as shares, distances and a picture: the measures and the table of the ablation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from show1_core.evaluation.clip import ClipScorer

from .evaluate import benchmark, mean_and_error, to_bytes

PARTS = ("colours", "solids", "place", "bound", "right")
COSTS = {"seconds": "{:.1f} s", "megabytes": "{:.0f} MB"}  # of a still
FORMS = {**dict.fromkeys(PARTS, "{:.0%}"), "distance": "{:.3f}", **COSTS}
AXES = {"left of": "side by side", "right of": "side by side", "above": "stacked", "below": "stacked"}
STRIP = 14  # pixels above each row of the picture, for its name
Rows = Mapping[str, Sequence[Mapping[str, float]]]


def levels(frames: Tensor) -> np.ndarray:
    """Stills (P, 3, H, W) in -1..1 as (P, H, W, 3) in 0..255."""
    return to_bytes((frames * 0.5 + 0.5).movedim(1, -1))


def as_seen(verdict: Any) -> tuple[str, tuple[tuple[str, str], ...], str]:
    """Place, solids with their colours from left to right or from above, and which of both: in a still nobody moves first."""
    solids = [(one.colour, one.solid) for one in (verdict.first, verdict.second) if one is not None]
    turned = verdict.relation in ("right of", "below")
    return verdict.place, tuple(reversed(solids) if turned else solids), AXES.get(verdict.relation, "")


def judged(stills: np.ndarray, prompts: Sequence[str]) -> dict[str, float]:
    """Shares of stills (P, H, W, 3) that show what their prompt says; `bound`: of two solids, each in its own colour."""
    judge = benchmark("judge")
    pairs = [(as_seen(judge.judge(still[None])), as_seen(judge.claim_of(prompt)))
             for still, prompt in zip(stills, prompts, strict=True)]
    two = [(seen, asked) for seen, asked in pairs if len(asked[1]) == 2]
    found = {
        "colours": [sorted(c for c, _ in seen[1]) == sorted(c for c, _ in asked[1]) for seen, asked in pairs],
        "solids": [sorted(s for _, s in seen[1]) == sorted(s for _, s in asked[1]) for seen, asked in pairs],
        "place": [seen[0] == asked[0] for seen, asked in pairs],
        "bound": [sorted(seen[1]) == sorted(asked[1]) for seen, asked in two],
        "right": [seen == asked for seen, asked in pairs]}
    return {part: float(np.mean(right)) for part, right in found.items() if right}


def features(scorer: ClipScorer, stills: np.ndarray) -> Tensor:
    """What the mini's scorer sees in stills (P, H, W, 3)."""
    return scorer.frames(torch.from_numpy(stills).float() / 255)


def cell(values: Sequence[float], part: str) -> str:
    """Mean, and of what is no cost its standard error; nothing where nothing was measured."""
    if len(values) < 2 or part in COSTS:
        return FORMS[part].format(np.mean(values)) if values else ""
    return " ± ".join(map(FORMS[part].format, mean_and_error(values)))


def table(rows: Rows) -> str:
    """A row a way to draw, in Markdown."""
    lines = ["| drawn | " + " | ".join(FORMS) + " |", "|" + "---|" * (len(FORMS) + 1)]
    for name, found in rows.items():
        cells = [cell([row[part] for row in found if part in row], part) for part in FORMS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sheet(shown: Mapping[str, np.ndarray]) -> Any:
    """A picture: stills (N, H, W, 3) of each way in a row, its name above."""
    from PIL import Image, ImageDraw

    widths, heights = zip(*((len(stills) * stills.shape[2], stills.shape[1]) for stills in shown.values()), strict=True)
    picture = Image.new("RGB", (max(widths), sum(heights) + STRIP * len(shown)), "#181818")
    draw, top = ImageDraw.Draw(picture), 0
    for (name, stills), height in zip(shown.items(), heights, strict=True):
        draw.text((4, top + 1), name, fill="#ebebeb")
        picture.paste(Image.fromarray(np.concatenate(list(stills), axis=1)), (0, top + STRIP))
        top += STRIP + height
    return picture
