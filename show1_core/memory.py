"""How much of a network call is computed at once: decided before the call, from what is free.

Where that turns out too much, the call is done again with less at once, which is written to the log and forgotten
with the run. The arithmetic is the same at every level, and what is put together from parts differs by rounding; but for
windows of time, the last resort for clips that memory does not hold: their frames see those of their window alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .models.chunks import chunk_bytes, chunk_length
from .models.conditioning import PreparedText
from .models.unet import UNet
from .time_windows import over_windows

MEGABYTE = 2**20
SMALLEST_SIDE, SIDE_MULTIPLE = 64, 8  # pixels of a frame that a VAE is recommended
MARGIN = 0.9  # of what is free: libraries keep room of their own
SMALLEST_WINDOW = 8  # frames; windows are multiples of it, and share a quarter
IN_CHUNKS = 0.45  # of what one sample under one text needs, in chunks; measured, with some room
# where PyTorch has no class of its own for it: CPUs, Apple's GPUs, drivers, CUDA's libraries
OUT_OF_MEMORY_TEXTS = ("can't allocate memory", "not enough memory", "out of memory", "STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Level:
    """A way of doing a call: samples at once (None: all), whether texts share a call, bytes of a tensor in a chunk, and
    frames at once (None: all) in windows of time."""

    samples: int | None = None
    texts_together: bool = True
    chunk: int | None = None
    frames: int | None = None


# what is tried when the level decided on beforehand runs out of memory; the last where a call takes windows
FALLBACKS = (Level(1, True, 32 * MEGABYTE), Level(1, False, 8 * MEGABYTE), Level(1, False, MEGABYTE))
WINDOWS = Level(1, False, MEGABYTE, SMALLEST_WINDOW)


@dataclass(frozen=True)
class Device:
    """What a device tells of its memory: free bytes (None: unknown), and how to let go of what is kept unused."""

    free: Callable[[], int | None] = lambda: None
    relieve: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Call:
    """One network call: `samples` under each of their texts. sample (B, C, ...), timestep and noise_level () or (B,)."""

    unet: Callable[..., Tensor]
    sample: Tensor
    timestep: Tensor
    text: PreparedText
    noise_level: Tensor | None = None
    channels: int | None = None
    takes_windows: bool = False  # whether clips may be done in windows of time

    @property
    def in_windows(self) -> bool:
        """Whether it may be done in windows of time, and is long enough for them."""
        return self.takes_windows and self.sample.shape[2] > SMALLEST_WINDOW

    @property
    def texts(self) -> int:
        """How many texts each sample is seen under."""
        return self.text.rows // len(self.sample)

    def at(self, level: Level) -> Tensor:
        """(R*B, channels, ...): the texts' rows, one text after the other, computed as `level` says."""
        if level.frames is not None and level.frames < self.sample.shape[2]:
            whole, length = replace(level, frames=None), level.frames
            return over_windows(lambda span: self.of_frames(span).at(whole), self.sample.shape[2], length, overlap_of(length))
        with chunk_bytes(level.chunk):
            if not level.texts_together:
                return torch.cat([self.of_row(row) for row in range(self.text.rows)])
            if level.samples is not None and level.samples < len(self.sample):
                return self.in_groups(level.samples)
            return self.unet(self.sample, self.timestep, self.text, self.noise_level, self.channels)

    def in_groups(self, samples: int) -> Tensor:
        """So many samples at a time, under all their texts, which are prepared once."""
        groups = []
        for start in range(0, len(self.sample), samples):
            rows = slice(start, start + samples)
            some = self.sample[rows]
            out = self.unet(some, of_rows(self.timestep, rows), self.text.of_samples(rows, len(self.sample)),
                            None if self.noise_level is None else of_rows(self.noise_level, rows), self.channels)
            groups.append(out.unflatten(0, (-1, len(some))))  # (R, samples, ...)
        return torch.cat(groups, dim=1).flatten(0, 1)

    def of_frames(self, span: slice) -> Call:
        """The call for some frames of the clips."""
        return replace(self, sample=self.sample[:, :, span], text=self.text.of_frames(span))

    def of_row(self, row: int) -> Tensor:
        """One sample under one text: (1, channels, ...)."""
        one = slice(row % len(self.sample), row % len(self.sample) + 1)
        return self.unet(self.sample[one], of_rows(self.timestep, one), self.text.of_row(row),
                         None if self.noise_level is None else of_rows(self.noise_level, one), self.channels)


class OutOfMemory(RuntimeError):
    """Memory does not suffice even for the smallest parts; `what` did not fit."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} do not fit into memory even in parts, one sample at a time; try a quarter of it: half the "
                         "width and height. Other programs and models in the same memory count too.")


class Fallback:
    """How far the calls of one run have had to fall back. A new run begins with a new one."""

    def __init__(self) -> None:
        self.needed = 0  # of FALLBACKS
        self.frames: int | None = None  # at once, when a clip has not fitted whole

    def compute(self, call: Call, first: Level, device: Device) -> Tensor:
        """The call at its level, or at the first fallback that memory suffices for. Raises OutOfMemory when none does."""
        levels = (first, *FALLBACKS, *([WINDOWS] if call.in_windows else []))
        while self.needed < len(levels):
            level = self.windowed(levels[self.needed], call)
            try:
                return call.at(level)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            device.relieve()  # outside the handler: the error holds on to everything the attempt had made
            self.needed += 1
            logging.warning("Show-1: out of memory with %s; it is done again in smaller parts, and so is the rest of this run "
                            "(fallback %d of %d).", described(call.sample), self.needed, len(levels) - 1)
        raise OutOfMemory(described(call.sample))

    def windowed(self, level: Level, call: Call) -> Level:
        """The level with the smallest windows that the run has needed; new ones are told."""
        frames = min((some for some in (level.frames, self.frames) if some is not None), default=None)
        if frames is not None and frames != self.frames:
            logging.warning("Show-1: memory does not hold %s at once; they are done in windows of %d frames that share %d, and "
                            "may look a little different.", described(call.sample), frames, overlap_of(frames))
        self.frames = frames
        return replace(level, frames=frames)


def decide(unet: UNet, call: Call, device: Device) -> Level:
    """How much of a call to compute at once: as many samples as what is free has room for, or as are fast on a CPU.

    Where not even one has room, it is done in chunks, and where these have none, in windows of time if it takes them.
    """
    sample, config = call.sample, unet.config
    pixels = sample[0].numel() // sample.shape[1]
    each = config.peak_elements * pixels * sample.element_size()  # bytes of a sample under one text
    if sample.device.type == "cpu":
        growth = call.texts * config.block_out_channels[0] // sample.shape[1]
        frames = frames_within(device.free(), call.texts * IN_CHUNKS * each, call) if call.in_windows else None
        return Level(samples=chunk_length(sample, len(sample), growth), frames=frames)
    free = device.free()
    if free is None:
        return Level()
    rows = int(MARGIN * free / each)
    if rows >= call.texts:
        return Level(samples=min(rows // call.texts, len(sample)))
    if rows:
        return Level(samples=1, texts_together=False)
    if call.in_windows:
        return Level(1, False, FALLBACKS[0].chunk, frames_within(free, IN_CHUNKS * each, call))
    return Level(1, False, FALLBACKS[1].chunk)


def frames_within(free: int | None, needed: float, call: Call) -> int | None:
    """How many frames of a clip to see at once where all of them need so many bytes; None where all have room."""
    if free is None or needed <= MARGIN * free:
        return None
    fitting = int(call.sample.shape[2] * MARGIN * free / needed)
    return max(fitting // SMALLEST_WINDOW, 1) * SMALLEST_WINDOW


def overlap_of(frames: int) -> int:
    """How many frames windows of so many share with their neighbours."""
    return frames // 4


def torch_memory(device: torch.device | str) -> Device:
    """The memory of a device as PyTorch sees it."""
    device = torch.device(device)
    if device.type != "cuda":
        return Device()
    return Device(lambda: free_cuda_bytes(device), torch.cuda.empty_cache)


def free_cuda_bytes(device: torch.device) -> int:
    """Free bytes of a CUDA device, with what PyTorch keeps unused."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in OUT_OF_MEMORY_TEXTS)


def described(sample: Tensor) -> str:
    """What the user asked for, as far as it takes memory."""
    frames = sample.shape[2] if sample.ndim == 5 else 1
    return f"{sample.shape[-1]}x{sample.shape[-2]} with {frames} frame{'' if frames == 1 else 's'}"


def of_rows(numbers: Tensor, rows: slice) -> Tensor:
    """Timesteps or noise levels of some rows; one for all, () or (1,), is everybody's."""
    return numbers if numbers.numel() == 1 else numbers[rows]


def size_that_fits(free_bytes: float, frame_bytes: float, height: int, width: int) -> tuple[int, int]:
    """(height, width) in pixels of a frame that fits, given what a frame that does not fit needs.

    Memory grows with the area. Sides are at most half of the given ones, at least 64, and multiples of 8.
    """
    share = min(0.5, (max(free_bytes, 0) / max(frame_bytes, 1)) ** 0.5)
    small_height, small_width = (
        max(int(side * share) // SIDE_MULTIPLE * SIDE_MULTIPLE, SMALLEST_SIDE) for side in (height, width))
    return small_height, small_width
