"""Areas of a picture that a text is for, in clips."""

from __future__ import annotations

from typing import Any

PERCENT = "percentage"


def over_all_frames(texts: list[dict[str, Any]], sides: int) -> None:
    """Let areas in percent of height and width hold for all frames, where a sample has `sides` of which time is the first.

    ConditioningSetAreaPercentage gives (height, width, y, x), and the host looks for time among them.
    """
    for text in texts:
        kind, *numbers = text.get("area") or (None,)
        if sides == 3 and kind == PERCENT and len(numbers) == 4:
            height, width, y, x = numbers
            text["area"] = (PERCENT, 1.0, height, width, 0.0, y, x)
