"""A picture of many videos: some frames of each in a row, its prompt, and what the judge saw where that is something else."""

from __future__ import annotations

from typing import Any

import judge
import numpy as np

FRAMES = 6
COLUMNS = 4  # videos side by side
FRAME = (72, 45)  # pixels
LABEL, GAP = 14, 8
RIGHT, WRONG = "#d8d8d8", "#ff7a6e"


def contact_sheet(videos: list[np.ndarray], prompts: list[str], seen: list[dict[str, str]]) -> Any:
    """videos (F, H, W, 3) uint8 each; `seen` has the judge's parts of each."""
    from PIL import Image, ImageDraw

    width, height = FRAMES * FRAME[0] + GAP, FRAME[1] + LABEL + GAP
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(videos) // COLUMNS) * height), "#181818")
    draw = ImageDraw.Draw(sheet)
    for number, (video, prompt, verdict) in enumerate(zip(videos, prompts, seen, strict=True)):
        left, top = number % COLUMNS * width, number // COLUMNS * height
        label, right = caption(prompt, verdict)
        draw.text((left + 2, top + 1), label, fill=RIGHT if right else WRONG)
        for place in range(FRAMES):
            frame = Image.fromarray(video[round(place * (len(video) - 1) / (FRAMES - 1))])
            sheet.paste(frame.resize(FRAME, Image.Resampling.BICUBIC), (left + place * FRAME[0], top + LABEL))
    return sheet


def caption(prompt: str, verdict: dict[str, str]) -> tuple[str, bool]:
    """The prompt, with what was seen instead where that is something else; and whether all is right."""
    asked = judge.parts_of(judge.claim_of(prompt))
    other = [verdict[part] or "alone" for part in asked if verdict[part] != asked[part]]
    return (f"{prompt}: seen as {', '.join(other)}", False) if other else (prompt, True)
