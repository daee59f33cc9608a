"""Names what a clip of the small world shows, from its frames alone: its place, and of one or two solids colour, form, motion.

NumPy only, and independent of the code that made the clip. What does not change along a row is the place; what is no
darker shade of it is a solid; its hue is the colour, the outline that covers it best the form, and the motion the
strongest of a few courses in its places and sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN = "unknown"
HUES: dict[str, float] = {"red": 0.0, "orange": 28.0, "yellow": 54.0, "green": 128.0, "cyan": 184.0, "blue": 231.0,
                          "purple": 275.0, "pink": 328.0}
# Rows of an empty place from top to bottom: the top of the sky, just above the horizon, just below it, the bottom.
PLACES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "black": ((0.05, 0.05, 0.05),) * 4,
    "gray": ((0.45, 0.45, 0.45),) * 4,
    "white": ((0.93, 0.93, 0.93),) * 4,
    "day": ((0.36, 0.62, 0.92), (0.80, 0.90, 0.97), (0.64, 0.72, 0.51), (0.51, 0.63, 0.39)),
    "sunset": ((0.34, 0.24, 0.46), (0.95, 0.69, 0.51), (0.39, 0.27, 0.28), (0.27, 0.18, 0.22)),
    "night": ((0.02, 0.03, 0.12), (0.13, 0.17, 0.36), (0.09, 0.11, 0.18), (0.05, 0.06, 0.11)),
}
ROWS = (0.02, 0.50, 0.64, 0.98)  # where those rows are, in heights from the top
# The outline of each form around its middle, y down.
OUTLINES: dict[str, tuple[tuple[float, float], ...]] = {
    "ball": tuple((float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 2 * np.pi, 24, endpoint=False)),
    "cube": ((-0.9, -0.48), (-0.48, -0.9), (0.9, -0.9), (0.9, 0.48), (0.48, 0.9), (-0.9, 0.9)),
    "cone": ((0.0, -1.08), (1.0, 0.66), (0.7, 0.83), (0.0, 0.9), (-0.7, 0.83), (-1.0, 0.66)),
}
# How far each motion usually goes.
TRAVEL_X, TRAVEL_Y, GROWTH, HOP, ORBIT = 0.55, 0.30, 0.65, 0.33, 0.39  # heights, heights, log of size, heights, heights
LEAST_MOTION = 0.35
DEEPEST_SHADOW = 0.45  # of the light that is there
# What is a solid differs from its place by more than the least, where the picture is clean; by more than so many times what
# most pixels differ by, up to the most, where it is noisy; and by more than this share of the strongest contrast.
LEAST_CONTRAST, NOISES, MOST_CONTRAST, CONTRAST_SHARE = 0.06, 5.0, 0.12, 0.08
LEAST_SATURATION = 0.15
LEAST_AREA = 0.003
LARGEST = 8  # frames a form is taken from
FINE_AREA = 400  # pixels: the edge of a smaller mask is looked at more finely
MARGIN = 3  # pixels around a mask, and one in so many of its own, in which an outline is laid over it
LEAST_SHARE = 0.22  # of the coloured pixels for a second solid
LEAST_DISTANCE = 0.2  # between two solids, in heights


@dataclass(frozen=True)
class Seen:
    """One solid; `unknown` where it cannot be told."""

    colour: str = UNKNOWN
    solid: str = UNKNOWN
    motion: str = UNKNOWN


@dataclass(frozen=True)
class Verdict:
    """What a clip shows, or what a prompt asks for: the solid that moves most, the place, and a second solid at rest."""

    first: Seen = Seen()
    place: str = UNKNOWN
    second: Seen | None = None
    relation: str = UNKNOWN


def backdrop(frames: np.ndarray) -> np.ndarray:
    """(H, 3) the colour each row mostly has."""
    return np.median(frames.transpose(1, 0, 2, 3).reshape(frames.shape[1], -1, 3), axis=1)


def place_of(rows: np.ndarray) -> str:
    """Name of the place whose rows these are most like."""
    there = np.stack([rows[min(int(row * len(rows)), len(rows) - 1)] for row in ROWS])
    return min(PLACES, key=lambda name: float(np.abs(there - np.array(PLACES[name])).mean()))


def contrast_of(frames: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(F, H, W) how far a pixel is from its place, lit or in the shadow."""
    ground = rows[None, :, None]
    light = np.clip((frames * ground).sum(-1) / np.maximum((ground * ground).sum(-1), 1e-4), DEEPEST_SHADOW, 1.0)
    return np.abs(frames - light[..., None] * ground).max(axis=-1)


def around(values: np.ndarray) -> np.ndarray:
    """(9, F, H, W): every pixel of (F, H, W) and its eight neighbours."""
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    height, width = values.shape[1:]
    return np.stack([padded[:, top : top + height, left : left + width] for top in range(3) for left in range(3)])


def solid_mask(contrast: np.ndarray) -> np.ndarray:
    """(F, H, W) which pixels are a solid's. Its dark side may differ little from the place; how little counts, noise decides."""
    least = float(np.clip(NOISES * np.median(contrast), LEAST_CONTRAST, MOST_CONTRAST))
    mask = contrast > max(least, CONTRAST_SHARE * float(np.quantile(contrast, 0.99)))
    return mask & (around(mask).sum(axis=0) > 3)  # no pixels on their own


def coverage(contrast: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(F, H, W) how much of a pixel a solid covers: inside all of it, however dark; at the edge what is like the inside."""
    inside = around(mask).sum(axis=0) == 9
    near = around(inside).sum(axis=0)
    like = around(inside * contrast).sum(axis=0) / np.maximum(near, 1)
    full = np.where(near > 0, like, around(contrast).max(axis=0))
    return np.where(inside, 1.0, mask * np.minimum(contrast / np.maximum(full, 1e-6), 1.0))


def _hue(rgb: np.ndarray) -> np.ndarray:
    """Hue in degrees, from the angle in the plane across the grey axis."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    return np.degrees(np.arctan2(np.sqrt(3.0) * (green - blue), 2.0 * red - green - blue)) % 360.0


def _apart(hue: np.ndarray, name: str) -> np.ndarray:
    """Degrees between hues and a colour's."""
    return np.abs((hue - HUES[name] + 180.0) % 360.0 - 180.0)


def _middles(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of the middle, in heights, and the area in pixels, of a mask in every frame."""
    area = mask.reshape(len(mask), -1).sum(axis=1)
    y, x = np.indices(mask.shape[1:])
    scale = np.maximum(area, 1e-6) * mask.shape[1]
    return (mask * x).reshape(len(mask), -1).sum(axis=1) / scale, (mask * y).reshape(len(mask), -1).sum(axis=1) / scale, area


def without_strays(mask: np.ndarray) -> np.ndarray:
    """A mask (F, H, W) less what is far from its middle: edges of the other solid that have this one's hue by chance."""
    x, y, area = (values[:, None, None] for values in _middles(mask))
    rows, columns = np.indices(mask.shape[1:])
    height = mask.shape[1]
    return mask * (np.hypot(columns / height - x, rows / height - y) < 1.6 * np.sqrt(area / np.pi) / height + 1.0 / height)


def _inside(outline: Sequence[tuple[float, float]], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in a convex outline."""
    corners = np.array(outline)
    after = np.roll(corners, -1, axis=0)
    sides = [(bx - ax) * (y - ay) - (by - ay) * (x - ax) for (ax, ay), (bx, by) in zip(corners, after)]
    return np.all(np.stack(sides) >= 0, axis=0) | np.all(np.stack(sides) <= 0, axis=0)


def _fitted(outline: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Middle and area of an outline (the shoelace formula)."""
    corners = np.array(outline)
    after = np.roll(corners, -1, axis=0)
    cross = corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1]
    x, y = ((corners + after) * cross[:, None]).sum(axis=0) / (3.0 * cross.sum())
    return float(x), float(y), float(abs(cross.sum()) / 2)


def _overlap(mask: np.ndarray, outline: Sequence[tuple[float, float]]) -> float:
    """How much of a mask (H, W) in 0..1 and of an outline laid over it, at its middle and of its area, they share."""
    if not mask.any():
        return 0.0
    rows, columns = (np.nonzero(mask.any(axis=axis))[0] for axis in (1, 0))
    room = MARGIN + max(len(rows), len(columns)) // MARGIN
    mask = mask[max(rows[0] - room, 0) : rows[-1] + room + 1, max(columns[0] - room, 0) : columns[-1] + room + 1]
    (x0,), (y0,), (area,) = _middles(mask[None])
    middle_x, middle_y, size = _fitted(outline)
    scale = np.sqrt(area / size)
    fine = 4 if area < FINE_AREA else 1  # points a pixel, in each direction
    y, x = ((np.arange(fine * n) + 0.5) / fine - 0.5 for n in mask.shape)
    u = (x[None, :] - x0 * mask.shape[0]) / scale + middle_x
    v = (y[:, None] - y0 * mask.shape[0]) / scale + middle_y
    laid = _inside(outline, *np.broadcast_arrays(u, v)).astype(np.float32)
    laid = laid.reshape(mask.shape[0], fine, mask.shape[1], fine).mean(axis=(1, 3))
    return float(np.minimum(mask, laid).sum() / np.maximum(mask, laid).sum())


def solid_of(mask: np.ndarray) -> str:
    """Name of the form of a mask (F, H, W) in 0..1, from the frames where it is largest."""
    area = mask.reshape(len(mask), -1).sum(axis=1)
    chosen = np.argsort(area)[-LARGEST:]
    return max(OUTLINES, key=lambda name: sum(_overlap(mask[frame], OUTLINES[name]) for frame in chosen))


def course(mask: np.ndarray) -> dict[str, float]:
    """How much a mask (F, H, W) follows each motion, 1 where it goes as far as usual."""
    x, y, area = _middles(mask)
    seen = area >= LEAST_AREA * mask[0].size
    if seen.sum() < max(4, len(mask) // 2):
        return {}
    t = np.linspace(0.0, 1.0, len(mask))[seen]
    one, turn, jump = np.ones_like(t), 2 * np.pi * t, (2 * t) % 1.0

    def fit(values: np.ndarray, *courses: np.ndarray) -> np.ndarray:
        return np.linalg.lstsq(np.stack([one, *courses], axis=1), values, rcond=None)[0][1:]

    across, swing = fit(x[seen], t, np.sin(turn))
    down, hop, _ = fit(y[seen], t, 4.0 * jump * (1.0 - jump), np.cos(turn))
    growth, _ = fit(0.5 * np.log(area[seen]), t, np.cos(turn))
    return {
        "moving left": -across / TRAVEL_X, "moving right": across / TRAVEL_X,
        "moving up": -down / TRAVEL_Y, "moving down": down / TRAVEL_Y,
        "growing": growth / GROWTH, "shrinking": -growth / GROWTH,
        "bouncing": -hop / HOP, "circling": swing / ORBIT,
    }


def _seen(mask: np.ndarray, colour: str) -> tuple[Seen, float]:
    """What a solid is and does, and how strongly."""
    courses = course(mask)
    if not courses:
        return Seen(colour, solid_of(mask)), 0.0
    motion = max(courses, key=courses.__getitem__)
    strength = courses[motion]
    return Seen(colour, solid_of(mask), motion if strength >= LEAST_MOTION else UNKNOWN), strength


def _colours(frames: np.ndarray, contrast: np.ndarray, mask: np.ndarray) -> list[str]:
    """Names of the one or two colours that stand out, the largest first."""
    inner = mask & (contrast > 0.25 * np.quantile(contrast[mask], 0.9))
    rgb = frames[inner]
    coloured = rgb.max(axis=-1) - rgb.min(axis=-1)
    hue = _hue(rgb)
    nearest = np.argmin(np.stack([_apart(hue, name) for name in HUES]), axis=0)
    weight = np.bincount(nearest, weights=(coloured > LEAST_SATURATION).astype(float), minlength=len(HUES))
    if weight.sum() <= 0:
        return []
    order = np.argsort(weight)[::-1]
    return [tuple(HUES)[k] for k in order[:2] if weight[k] > LEAST_SHARE * weight.sum()] or [tuple(HUES)[order[0]]]


def _relation(first: np.ndarray, second: np.ndarray) -> str:
    """Where the first mask lies from the second."""
    (x1, y1, area1), (x2, y2, area2) = _middles(first), _middles(second)
    both = (area1 > 0) & (area2 > 0)
    across, down = float(np.mean((x1 - x2)[both])), float(np.mean((y1 - y2)[both]))
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def judge(frames: np.ndarray) -> Verdict:
    """What is seen in frames, uint8 (F, H, W, 3). Raises ValueError for other frames."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, but uint8 (F,H,W,3) are judged")
    scaled = frames.astype(np.float32) / 255.0
    rows = backdrop(scaled)
    place, contrast = place_of(rows), contrast_of(scaled, rows)
    mask = solid_mask(contrast)
    if mask.mean() < LEAST_AREA:
        return Verdict(place=place)
    soft = coverage(contrast, mask)
    colours = _colours(scaled, contrast, mask)
    if len(colours) == 2:
        hue = _hue(scaled)
        nearer = _apart(hue, colours[0]) <= _apart(hue, colours[1])
        masks = [without_strays(soft * nearer), without_strays(soft * ~nearer)]
        if _distance(*masks) > LEAST_DISTANCE:
            found = [_seen(part, colour) for part, colour in zip(masks, colours, strict=True)]
            first, second = (0, 1) if found[0][1] >= found[1][1] else (1, 0)
            rest = Seen(found[second][0].colour, found[second][0].solid, "at rest")
            return Verdict(found[first][0], place, rest, _relation(masks[first], masks[second]))
    return Verdict(_seen(soft, colours[0] if colours else UNKNOWN)[0], place)


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Median distance of the middles of two masks, in heights."""
    (x1, y1, area1), (x2, y2, area2) = _middles(first), _middles(second)
    both = (area1 > 0) & (area2 > 0)
    return float(np.median(np.hypot(x1 - x2, y1 - y2)[both])) if both.any() else 0.0
