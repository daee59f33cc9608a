"""What each stage does around sampling: draws, conditions, pairs, windows, hand-over.

Clips are (1, C, F, H, W) in [-1, 1], overshoot allowed and kept between pixel stages (numerics T2). Every function
takes `sample`, which runs the diffusion itself, so the same code serves a host's samplers and a plain loop.
Noise is drawn on the CPU from the stage's seed in the official order (numerics 1), whatever device computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .schedule import Schedule, add_noise
from .stages import PAIR_FRAMES, WINDOW_FRAMES
from .time_windows import spans

NEW_PER_KEYFRAME = PAIR_FRAMES - 1  # frames of the interpolated clip for each keyframe


class Condition(NamedTuple):
    """What a stage's UNet is given beside the noisy clip."""

    frames: Tensor | None = None  # (B, C', F, H, W), concatenated behind the clip's channels
    noise_level: int | None = None  # timestep to which `frames` were noised
    times: Tensor | None = None  # (B or 1, F), when each frame is seen, in keyframes; None: the frames are keyframes


class Sample(Protocol):
    """Runs one diffusion from `noise` (B, C, F, H, W) to a clip of the same shape.

    `start` is a clip to begin from instead of pure noise; `generator` continues the stage's random stream for
    samplers that draw noise at every step.
    """

    def __call__(self, noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor: ...


class Encoded(NamedTuple):
    """The VAE's posterior of some frames, (F, C, h, w) each, unscaled."""

    mean: Tensor
    std: Tensor


class VideoSize(NamedTuple):
    """Size of a clip in frames and pixels."""

    frames: int
    height: int
    width: int


class ContextWindow(NamedTuple):
    """What a model sees at once of a longer clip: so many frames, `overlap` of which the next window has too."""

    frames: int
    overlap: int


def seeded(seed: int) -> torch.Generator:
    """A fresh CPU random stream; after the largest seed of 64 bits comes 0."""
    return torch.Generator("cpu").manual_seed(seed % 2**64)


def draw(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    """Normal noise, drawn on the CPU so that it is the same everywhere, then taken to where the frames are."""
    return torch.randn(tuple(shape), generator=generator).to(device)


def keyframes(sample: Sample, size: VideoSize, seed: int, start: Tensor | None = None,
              window: ContextWindow | None = None, noise: Tensor | None = None) -> Tensor:
    """Stage 1: draw the keyframes (1, 3, F, H, W), or redraw `start` (numerics 1.1); `noise` in place of the seed's.

    `window` is given where windows of time are to begin from the same noise, in other orders.
    """
    generator = seeded(seed)
    return sample(first_noise((3, *size), generator, window, noise), Condition(), start, generator)


def first_noise(shape: Sequence[int], generator: torch.Generator, window: ContextWindow | None = None,
                given: Tensor | None = None) -> Tensor:
    """The noise (1, C, F, H, W) that one clip of `shape` (C, F, H, W) begins from; `given` in place of what is drawn.

    With `window`, windows of time begin from the same noise, in other orders.
    """
    drawn = torch.randn((1, *shape), generator=generator)
    noise = drawn if given is None else given
    return noise if window is None else free_noise(noise, window, generator)


def noise_of_takes(shape: Sequence[int], seed: int, takes: Iterable[int], window: ContextWindow | None = None) -> Tensor:
    """Noise (B, C, F, H, W) of several takes of `shape` (C, F, H, W); take i has what `first_noise` draws from seed + i."""
    return torch.cat([first_noise(shape, seeded(seed + take), window) for take in takes])


def free_noise(noise: Tensor, window: ContextWindow, generator: torch.Generator) -> Tensor:
    """The noise (B, C, F, H, W) of FreeNoise (arXiv 2310.15169): beyond the first window its frames come again, shuffled.

    So all windows of a long clip begin from the same frames of noise, and their content stays alike. A clip of one
    window's length or less is left as it is.
    """
    noise, frames = noise.clone(), noise.shape[2]
    stride = max(window.frames - window.overlap, 1)
    for start in range(0, frames - window.frames, stride):
        place = start + window.frames
        count = min(stride, frames - place)
        noise[:, :, place:place + count] = noise[:, :, start + torch.randperm(count, generator=generator)]
    return noise


def drafts(sample: Sample, size: VideoSize, seed: int, count: int) -> Tensor:
    """Keyframes of `count` takes in one batch (count, 3, F, H, W); take i is what `keyframes` draws from seed + i.

    That holds for samplers that draw no noise of their own: these draw it for all takes at once.
    """
    return sample(noise_of_takes((3, *size), seed, range(count)), Condition(), None, seeded(seed))


def interpolate(sample: Sample, clip: Tensor, seed: int, redraw: bool = False) -> Tensor:
    """Stage 2: fill in three frames between neighbours: (1, 3, n, H, W) -> (1, 3, 4n-3, H, W) (numerics 1.2, T10).

    All pairs form one batch; they share one draw of noise and do not see each other, so this is the official loop
    in one run. With `redraw` sampling starts from the linear blend instead of pure noise.
    """
    generator = seeded(seed)
    noise = draw((1, 3, PAIR_FRAMES, *clip.shape[-2:]), generator, clip.device)
    condition = interpolation_condition(clip)  # (n-1, 4, 5, H, W)
    blend = condition[:, :3] if redraw else None
    noise = noise.repeat(len(condition), 1, 1, 1, 1)
    pairs = sample(noise, Condition(condition, times=pair_times(len(condition))), blend, generator)
    return join_pairs(pairs)


def times(start: int, stop: int) -> Tensor:
    """When frames of the interpolated clip are seen, in keyframes: (1, stop - start)."""
    return torch.arange(start, stop)[None] / NEW_PER_KEYFRAME


def pair_times(pairs: int) -> Tensor:
    """When the frames of pairs are seen, in keyframes: (pairs, 5)."""
    return torch.arange(pairs)[:, None] + times(0, PAIR_FRAMES)


def join_pairs(pairs: Tensor) -> Tensor:
    """Pairs that share their ends, as one clip: (n-1, C, 5, H, W) -> (1, C, 4n-3, H, W); a shared frame is the later pair's."""
    joined = rearrange(pairs[:, :, :-1], "n c f h w -> c (n f) h w")
    return torch.cat([joined, pairs[-1, :, -1:]], dim=1)[None]


def interpolation_condition(clip: Tensor) -> Tensor:
    """For every pair of neighbours what `pair_condition` makes of it: (1, 3, n, H, W) -> (n-1, 4, 5, H, W)."""
    return pair_condition(rearrange([clip[0, :, :-1], clip[0, :, 1:]], "ends c n h w -> n c ends h w"))


def pair_condition(ends: Tensor) -> Tensor:
    """[z, m] of paper eq. 6: the linear blend of two frames and a mask that is 1 on the ends (numerics 2.4, T10).

    (B, C, 2, H, W) -> (B, C+1, 5, H, W)
    """
    blend = F.interpolate(ends, size=(PAIR_FRAMES, *ends.shape[-2:]), mode="trilinear", align_corners=True)
    mask = torch.zeros_like(blend[:, :1])
    mask[:, :, 0] = mask[:, :, -1] = 1.0
    return torch.cat([blend, mask], dim=1)


def first_frame(sample: Sample, image: Tensor, schedule: Schedule, noise_level: int, seed: int, redraw: bool = False) -> Tensor:
    """Stage 3a: enlarge one frame four times with the image model: (1, 3, 1, H, W) -> (1, 3, 1, 4H, 4W) (numerics 1.3)."""
    generator, large = seeded(seed), enlarge(image, 4)
    noise = draw(large.shape, generator, large.device)
    condition = add_noise(schedule, large, draw(large.shape, generator, large.device), noise_level)
    return sample(noise, Condition(condition, noise_level), large if redraw else None, generator)


def upscale(sample: Sample, clip: Tensor, first: Tensor | None, schedule: Schedule, noise_level: int, seed: int,
            redraw: bool = False, last: Tensor | None = None) -> Tensor:
    """Stage 3: enlarge a clip four times, window after window: (1, 3, F, H, W) -> (1, 3, F, 4H, 4W) (numerics 1.4).

    `first` is the enlarged first frame (1, 3, 1, 4H, 4W); without it the first window makes up its own. Every
    later window takes the frame it shares with the one before as its first (numerics T11). `last`, the enlarged last
    frame, is shown to the last window in the same way, at its end.
    """
    large = enlarge(clip, 4)
    result = torch.empty_like(large)
    for start, stop in windows(large.shape[2]):
        generator = seeded(seed)  # every window draws the same noise
        part = large[:, :, start:stop]
        noise = draw(part.shape, generator, part.device)
        condition = add_noise(schedule, part, draw(part.shape, generator, part.device), noise_level)
        known = first if start == 0 else result[:, :, start:start + 1]
        if known is not None:
            condition[:, :, :1] = known
        if last is not None and stop == large.shape[2]:
            condition[:, :, -1:] = last
        known_of_it = Condition(condition, noise_level, times(start, stop))
        result[:, :, start:stop] = sample(noise, known_of_it, part if redraw else None, generator)
    return result


def windows(frames: int) -> list[tuple[int, int]]:
    """Spans of at most 8 frames that share one frame with their neighbour; the last is moved back to end with the clip.

    The official loop leaves frames out where its spans do not fit (numerics T18); where they do fit these are the same.
    """
    return spans(frames, WINDOW_FRAMES, overlap=1)


def refine(sample: Sample, encode: Callable[[Tensor], Encoded], images: Tensor, size: tuple[int, int], seed: int) -> Tensor:
    """Stage 4: redraw a clip in latent space. images (F, H, W, 3) in 0..1 -> latent (1, 4, F, h, w), unscaled (numerics 1.6).

    `size` is (height, width) in pixels; `encode` takes images (F, height, width, 3) in 0..1.
    """
    generator = seeded(seed)
    posterior = encode(resize(images, size))
    latent = posterior.mean + posterior.std * draw(posterior.mean.shape, generator, posterior.mean.device)
    noise = draw(latent.shape, generator, latent.device)  # frame by frame: (F, 4, h, w)
    return sample(as_clip(noise), Condition(), as_clip(latent), generator)


def as_clip(frames: Tensor) -> Tensor:
    """(F, C, H, W) -> (1, C, F, H, W)"""
    return frames.transpose(0, 1)[None]


def as_frames(clip: Tensor) -> Tensor:
    """(1, C, F, H, W) -> (F, C, H, W)"""
    return clip[0].transpose(0, 1)


def enlarge(clip: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement, corners aligned, of every frame (numerics 2.5): (B, C, F, H, W) -> (B, C, F, kH, kW)."""
    height, width = clip.shape[-2:]
    frames = rearrange(clip, "b c f h w -> (b f) c h w")
    large = F.interpolate(frames, size=(height * factor, width * factor), mode="bilinear", align_corners=True)
    return rearrange(large, "(b f) c h w -> b c f h w", b=len(clip))


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic resize through 8-bit images, as the official hand-over to stage 4 (numerics 1.5, T13).

    images (F, H, W, 3) -> (F, height, width, 3), values in 0..1 in steps of 1/255.
    """
    import numpy as np
    from PIL import Image

    levels = (images.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()  # truncated, not rounded
    height, width = size
    frames = [np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)) for frame in levels]
    return torch.from_numpy(np.stack(frames)).float() / 255


def to_clip(images: Tensor) -> Tensor:
    """IMAGE (F, H, W, 3) in 0..1 -> clip (1, 3, F, H, W) in -1..1."""
    return images.movedim(-1, 0)[None].float() * 2 - 1


def to_images(clip: Tensor) -> Tensor:
    """Clip (1, 3, F, H, W) in -1..1 -> IMAGE (F, H, W, 3) in 0..1, not clamped."""
    return (clip[0] * 0.5 + 0.5).movedim(0, -1).contiguous()
