"""Guidance, the clean clip it points to, and the dynamic threshold, frame by frame.

Reference: numerics 2.8 in sigma space, where x = x0 + sigma * noise. A frame's threshold is a quantile of its values'
magnitudes. Floats that are not negative sort like their bits, so the kernel finds the value of a rank bit by bit, from
the highest, counting each time how many lie below: 31 counts of what it holds in registers, and nothing is sorted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .registry import EAGER, TRITON, Backend, Function
from .requirements import FLOATS, Countable, Dimensions, Dtypes, NoGradient, RowsOfPixels, Size, TritonDevice
from .triton_guard import constexpr, jit, power_of_two, tl

MOST_VALUES = 32768  # of one frame: what the registers of one program hold


def threshold(clip: Tensor, ratio: float, maximum: float) -> Tensor:
    """Clamp each frame of clip (B, C, F, H, W) to its own `ratio` quantile s, 1 <= s <= maximum, and divide by s."""
    return THRESHOLD(clip, ratio, maximum)


def guided_threshold(x: Tensor, positive: Tensor, negative: Tensor, guidance: float, sigma: Tensor,
                     ratio: float, maximum: float) -> Tensor:
    """`threshold` of x - sigma * (negative + guidance * (positive - negative)), in the dtype of x.

    x and both noise predictions (B, C, F, H, W), sigma (B,) in float32.
    """
    return GUIDED_THRESHOLD(x, positive, negative, guidance, sigma, ratio, maximum)


def eager(clip: Tensor, ratio: float, maximum: float) -> Tensor:
    """The reference."""
    if maximum <= 1.0:
        return clip.clamp(-1.0, 1.0)
    limit = quantile(clip.transpose(1, 2).flatten(2).float().abs(), ratio)  # (B, F)
    limit = limit.clamp(1.0, maximum)[:, None, :, None, None]
    return (clip.clamp(-limit, limit) / limit).to(clip.dtype)


def eager_guided(x: Tensor, positive: Tensor, negative: Tensor, guidance: float, sigma: Tensor,
                 ratio: float, maximum: float) -> Tensor:
    """The reference, in float32 until the end."""
    noise = negative.float() + guidance * (positive.float() - negative.float())
    return eager(x.float() - sigma.float()[:, None, None, None, None] * noise, ratio, maximum).to(x.dtype)


def quantile(rows: Tensor, ratio: float) -> Tensor:
    """Linearly interpolated quantile along the last axis, from two values selected by rank."""
    below, above, weight = ranks(rows.shape[-1], ratio)
    low, high = (rows.kthvalue(rank + 1, dim=-1).values for rank in (below, above))
    return torch.lerp(low, high, weight)


def ranks(count: int, ratio: float) -> tuple[int, int, float]:
    """The ranks, from 0, of the two values around a quantile of `count`, and how far it lies from the first to the second."""
    position = ratio * (count - 1)
    below = int(position)
    return below, min(below + 1, count - 1), position - below


@jit
def _limit(magnitudes, mask, below, above, weight, maximum):
    """The threshold of one frame. `magnitudes` are float32, none negative."""
    bits = tl.cast(magnitudes, tl.int32, bitcast=True)
    rank = 0
    for i in range(31):
        candidate = rank | (1 << (30 - i))
        smaller = tl.sum((mask & (bits < candidate)).to(tl.int32), axis=0)
        rank = tl.where(smaller <= below, candidate, rank)  # the largest number that no more than `below` are smaller than
    not_larger = tl.sum((mask & (bits <= rank)).to(tl.int32), axis=0)
    next_larger = tl.min(tl.where(mask & (bits > rank), bits, 0x7FFFFFFF), axis=0)
    low = tl.cast(rank, tl.float32, bitcast=True)
    high = tl.cast(tl.where(not_larger > above, rank, next_larger), tl.float32, bitcast=True)
    step = high - low
    between = tl.where(weight < 0.5, low + weight * step, high - step * (1.0 - weight))  # as torch.lerp rounds it
    return tl.clamp(between, 1.0, maximum, propagate_nan=tl.PropagateNan.ALL)


@jit
def _threshold(x, positive, negative, sigma, out, guidance, maximum, weight, below, above, F, S, n,
               xb, xc, xf, xs, pb, pc, pf, ps, nb, nc, nf, ns, ob, oc, of, os, BLOCK: constexpr, GUIDED: constexpr):
    """A program a frame, which it reads and writes once."""
    sample, frame = tl.program_id(0) // F, tl.program_id(0) % F
    i = tl.arange(0, BLOCK)
    mask, c, s = i < n, i // S, i % S
    clip = tl.load(x + sample * xb + frame * xf + c * xc + s * xs, mask=mask, other=0.0).to(tl.float32)
    if GUIDED:
        plus = tl.load(positive + sample * pb + frame * pf + c * pc + s * ps, mask=mask, other=0.0).to(tl.float32)
        minus = tl.load(negative + sample * nb + frame * nf + c * nc + s * ns, mask=mask, other=0.0).to(tl.float32)
        clip = clip - tl.load(sigma + sample) * (minus + guidance * (plus - minus))
    limit = _limit(tl.abs(clip), mask, below, above, weight, maximum)
    clip = tl.clamp(clip, -limit, limit, propagate_nan=tl.PropagateNan.ALL) / limit
    tl.store(out + sample * ob + frame * of + c * oc + s * os, clip.to(out.dtype.element_ty), mask=mask)


def launch(x: Tensor, predictions: tuple[Tensor, Tensor, float, Tensor] | None, ratio: float, maximum: float) -> Tensor:
    """Run the kernel; `predictions` are the positive and negative one, the guidance and sigma."""
    out = torch.empty_like(x)
    batch, channels, frames, height, width = x.shape
    count = channels * height * width
    below, above, weight = ranks(count, ratio)
    positive, negative, guidance, sigma = predictions or (x, x, 0.0, x)
    places = (s for t in (x, positive, negative, out) for s in (*t.stride()[:3], t.stride(4)))
    block = power_of_two(count)
    with torch.cuda.device_of(x):
        _threshold[(batch * frames,)](
            x, positive, negative, sigma, out, guidance, max(maximum, 1.0), weight, below, above, frames, height * width, count,
            *places, BLOCK=block, GUIDED=predictions is not None, num_warps=min(max(block // 1024, 4), 16))
    return out


def triton_threshold(clip: Tensor, ratio: float, maximum: float) -> Tensor:
    """The kernel, for a clip that is guided already."""
    return launch(clip, None, ratio, maximum)


def triton_guided(x: Tensor, positive: Tensor, negative: Tensor, guidance: float, sigma: Tensor,
                  ratio: float, maximum: float) -> Tensor:
    """The kernel."""
    return launch(x, (positive, negative, guidance, sigma.contiguous()), ratio, maximum)


THRESHOLD = Function("threshold", ("clip", "ratio", "maximum"), (
    Backend(TRITON, triton_threshold, (
        TritonDevice(), NoGradient(), Dimensions(("clip",), (5,)), Dtypes(("clip",), FLOATS), RowsOfPixels(("clip",)),
        Size("clip", (1, 3, 4), MOST_VALUES, "values a frame"), Countable()), measured=False),
    Backend(EAGER, eager),
))
GUIDED_THRESHOLD = Function("guided_threshold", ("x", "positive", "negative", "guidance", "sigma", "ratio", "maximum"), (
    Backend(TRITON, triton_guided, (
        TritonDevice(), NoGradient(), Dimensions(("x", "positive", "negative"), (5,)), Dimensions(("sigma",), (1,)),
        Dtypes(("x", "positive", "negative"), FLOATS), Dtypes(("sigma",), (torch.float32,)),
        RowsOfPixels(("x", "positive", "negative")), Size("x", (1, 3, 4), MOST_VALUES, "values a frame"),
        Countable()), measured=False),
    Backend(EAGER, eager_guided),
))
