"""What size is proposed where a frame does not fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from show1_core.memory import size_that_fits


@given(free=st.integers(0, 2**45), height=st.integers(8, 512), width=st.integers(8, 512), per_pixel=st.integers(1, 10**5))
def test_a_size_that_fits(free, height, width, per_pixel):
    height, width = 8 * height, 8 * width
    small_height, small_width = size_that_fits(free, per_pixel * height * width, height, width)
    assert small_height % 8 == small_width % 8 == 0 and min(small_height, small_width) >= 64
    assert small_height <= max(height // 2, 64) and small_width <= max(width // 2, 64)
    if min(small_height, small_width) > 64:
        assert per_pixel * small_height * small_width <= free
