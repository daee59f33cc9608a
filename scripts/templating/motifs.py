"""How a clip becomes a template's square card."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

Motif = Callable[[list["Image"]], "Image"]
SIDE, GAP = 512, 4  # pixels
TAKES, TAKE_FRAMES = 4, 8  # that the mini draws, and frames of each
FADING = (0.2, 0.35, 0.55, 1.0)  # how light the moments of a trail are
NEW_BETWEEN = 3  # frames that are drawn between two
DARK, LIGHT = (24, 24, 27), (244, 244, 245)


def grid(frames: list[Image]) -> Image:
    """Six frames spread over the clip, two by three, softly enlarged."""
    return tiled(spread(frames, 6), 2)


def trail(frames: list[Image]) -> Image:
    """The whole motion in one picture, what is past the darker, above three of the frames."""
    from PIL import Image as Images
    from PIL import ImageChops, ImageEnhance

    moments = zip(spread(frames, len(FADING)), FADING, strict=True)
    motion = reduce(ImageChops.lighter, (ImageEnhance.Brightness(frame).enhance(light) for frame, light in moments))
    card, foot = Images.new("RGB", (SIDE, SIDE), DARK), SIDE // 3
    width = (SIDE - 2 * GAP) // 3
    card.paste(cropped(motion, (SIDE, SIDE - foot - GAP)), (0, 0))
    for place, frame in enumerate(spread(frames, 3)):
        card.paste(cropped(frame, (width, foot)), (place * (width + GAP), SIDE - foot))
    return card


def pixels(frames: list[Image]) -> Image:
    """The same, each pixel a square: these frames are as small as they look."""
    return tiled([magnified(frame) for frame in spread(frames, 6)], 2)


def takes(frames: list[Image]) -> Image:
    """Four takes, a row each, three frames of each; the second is picked."""
    return take_rows(frames, 1)


def ranked_takes(frames: list[Image]) -> Image:
    """The same in order, so that the first is picked."""
    return take_rows(frames, 0)


def take_rows(frames: list[Image], picked: int) -> Image:
    """Four takes, a row each, three frames of each, one row framed."""
    rows = [spread(frames[start:start + TAKE_FRAMES], 3) for start in range(0, TAKES * TAKE_FRAMES, TAKE_FRAMES)]
    shown = [magnified(frame) for row in rows for frame in row]
    return tiled(shown, 3, framed=tuple(range(3 * picked, 3 * picked + 3)))


def best_of_many(frames: list[Image]) -> Image:
    """A frame of the first take, large and framed, above one of each of fifteen others."""
    from PIL import Image as Images
    from PIL import ImageOps

    first, *others = [magnified(frame) for frame in frames[TAKE_FRAMES // 2::TAKE_FRAMES]]
    card, columns, line = Images.new("RGB", (SIDE, SIDE), DARK), 5, 4
    top = SIDE * 5 // 8  # which leaves the others their own shape
    card.paste(ImageOps.expand(cropped(first, (SIDE - 2 * line, top - 2 * line)), line, LIGHT), (0, 0))
    width, height = (SIDE - (columns - 1) * GAP) // columns, (SIDE - top) // 3 - GAP
    for place, frame in enumerate(others[:3 * columns]):
        left, down = place % columns * (width + GAP), top + GAP + place // columns * (height + GAP)
        card.paste(cropped(frame, (width, height)), (left, down))
    return card


def between(frames: list[Image]) -> Image:
    """Six frames in order; those that were there before are framed."""
    shown = [magnified(frame) for frame in frames[:6]]
    return tiled(shown, 2, framed=tuple(range(0, len(shown), NEW_BETWEEN + 1)))


def before_and_after(frames: list[Image]) -> Image:
    """A frame at an eighth of its size, above itself."""
    from PIL import Image as Images

    frame = frames[len(frames) // 2]
    small = frame.resize((frame.width // 8, frame.height // 8), Images.Resampling.BOX)
    half = SIDE // 2
    card = Images.new("RGB", (SIDE, SIDE), DARK)
    for top, picture in ((0, magnified(small)), (half, frame)):
        card.paste(cropped(picture, (SIDE, half - GAP // 2)), (0, top + (GAP // 2 if top else 0)))
    return card


def film(frames: list[Image]) -> Image:
    """Very many frames, small, row by row."""
    return tiled([magnified(frame) for frame in spread(frames, 30)], 5)


def from_the_first(frames: list[Image]) -> Image:
    """One frame large and framed, above three that follow."""
    from PIL import Image as Images
    from PIL import ImageOps

    card, foot, line = Images.new("RGB", (SIDE, SIDE), DARK), SIDE // 3, 4
    first = ImageOps.expand(cropped(frames[0], (SIDE - 2 * line, SIDE - foot - GAP - 2 * line)), line, LIGHT)
    card.paste(first, (0, 0))
    width = (SIDE - 2 * GAP) // 3
    for place, frame in enumerate(spread(frames[1:], 3)):
        card.paste(cropped(frame, (width, foot)), (place * (width + GAP), SIDE - foot))
    return card


def ends(frames: list[Image]) -> Image:
    """Three frames one below the other, the first and the last framed."""
    return tiled(spread(frames, 3), 1, framed=(0, 2))


def ring(frames: list[Image]) -> Image:
    """Eight frames in a circle, around the place where it closes."""
    from PIL import Image as Images

    order, side = (0, 1, 2, 7, 3, 6, 5, 4), (SIDE - 2 * GAP) // 3  # clockwise from the upper left
    places = [(column, row) for row in range(3) for column in range(3) if (column, row) != (1, 1)]
    card = Images.new("RGB", (SIDE, SIDE), DARK)
    for (column, row), moment in zip(places, order, strict=True):
        card.paste(cropped(frames[moment * len(frames) // len(order)], (side, side)), (column * (side + GAP), row * (side + GAP)))
    return card


def rows(frames: list[Image]) -> Image:
    """Eight frames in order, two a row, the first half on the left and the second on the right."""
    shown = spread(frames, 8)
    return tiled([frame for pair in zip(shown[:4], shown[4:], strict=True) for frame in pair], 2)


def handed_on(frames: list[Image]) -> Image:
    """Four takes, a frame each, small; one of them large and smooth below."""
    from PIL import Image as Images

    card, top = Images.new("RGB", (SIDE, SIDE), DARK), SIDE // 4
    width = (SIDE - 3 * GAP) // 4
    for take in range(TAKES):
        frame = frames[take * TAKE_FRAMES + TAKE_FRAMES // 2]
        card.paste(cropped(magnified(frame), (width, top)), (take * (width + GAP), 0))
    picked = frames[TAKE_FRAMES + TAKE_FRAMES // 2].resize((SIDE, SIDE), Images.Resampling.BICUBIC)
    card.paste(cropped(picked, (SIDE, SIDE - top - GAP)), (0, top + GAP))
    return card


def spread(frames: list[Image], count: int) -> list[Image]:
    """So many of the frames, the first and the last among them."""
    return [frames[round(place * (len(frames) - 1) / max(count - 1, 1))] for place in range(count)]


def magnified(frame: Image) -> Image:
    """The frame with each pixel a square."""
    from PIL import Image as Images

    factor = max(SIDE // frame.width, 1)
    return frame.resize((frame.width * factor, frame.height * factor), Images.Resampling.NEAREST)


def cropped(frame: Image, size: tuple[int, int]) -> Image:
    """The middle of the frame, filling the size."""
    from PIL import ImageOps

    return ImageOps.fit(frame, size)


def tiled(frames: list[Image], columns: int, framed: tuple[int, ...] = ()) -> Image:
    """Frames in rows that fill the card; some of them in a light frame."""
    from PIL import Image as Images
    from PIL import ImageOps

    card, rows = Images.new("RGB", (SIDE, SIDE), DARK), len(frames) // columns
    width, height = (SIDE - (columns - 1) * GAP) // columns, (SIDE - (rows - 1) * GAP) // rows
    for place, frame in enumerate(frames):
        line = 4 if place in framed else 0
        tile = ImageOps.expand(cropped(frame, (width - 2 * line, height - 2 * line)), line, LIGHT)
        card.paste(tile, (place % columns * (width + GAP), place // columns * (height + GAP)))
    return card
