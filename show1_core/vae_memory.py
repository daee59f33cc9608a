"""What size of frame a VAE can do in the memory there is."""

from __future__ import annotations

SMALLEST_SIDE, SIDE_MULTIPLE = 64, 8  # pixels


def size_that_fits(free_bytes: float, frame_bytes: float, height: int, width: int) -> tuple[int, int]:
    """(height, width) in pixels of a frame that fits, given what a frame that does not fit needs.

    Memory grows with the area. Sides are at most half of the given ones, at least 64, and multiples of 8.
    """
    share = min(0.5, (max(free_bytes, 0) / max(frame_bytes, 1)) ** 0.5)
    small_height, small_width = (
        max(int(side * share) // SIDE_MULTIPLE * SIDE_MULTIPLE, SMALLEST_SIDE) for side in (height, width))
    return small_height, small_width
