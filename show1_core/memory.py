"""How much of a network call is computed at once: decided before the call, from what is free.

Where that turns out too much, the call is done again with less at once, which is written to the log and forgotten
with the run. The arithmetic is the same at every level; what is put together from parts differs by rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .models.chunks import chunk_bytes, chunk_length
from .models.conditioning import PreparedText
from .models.unet import UNet

MEGABYTE = 2**20
SMALLEST_SIDE, SIDE_MULTIPLE = 64, 8  # pixels of a frame that a VAE is recommended
MARGIN = 0.9  # of what is free: libraries keep room of their own
OUT_OF_MEMORY_TEXTS = ("can't allocate memory", "MPS backend out of memory")  # where PyTorch has no class of its own for it


@dataclass(frozen=True)
class Level:
    """A way of doing a call: samples at once (None: all), whether texts share a call, bytes of a tensor in a chunk."""

    samples: int | None = None
    texts_together: bool = True
    chunk: int | None = None


# what is tried when the level decided on beforehand runs out of memory
FALLBACKS = (Level(1, True, 32 * MEGABYTE), Level(1, False, 8 * MEGABYTE), Level(1, False, MEGABYTE))


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

    @property
    def texts(self) -> int:
        """How many texts each sample is seen under."""
        return self.text.rows // len(self.sample)

    def at(self, level: Level) -> Tensor:
        """(R*B, channels, ...): the texts' rows, one text after the other, computed as `level` says."""
        with chunk_bytes(level.chunk):
            if not level.texts_together:
                return torch.cat([self.of_row(row) for row in range(self.text.rows)])
            several = level.samples is not None and level.samples < len(self.sample)
            if several and (self.text.seen is not None or len(self.text.states) == self.texts):
                return self.in_groups(level.samples or 1)
            return self.unet(self.sample, self.timestep, self.text, self.noise_level, self.channels)

    def in_groups(self, samples: int) -> Tensor:
        """So many samples at a time, under all texts, which are prepared once for all."""
        groups = []
        for start in range(0, len(self.sample), samples):
            rows = slice(start, start + samples)
            some = self.sample[rows]
            out = self.unet(some, of_rows(self.timestep, rows), self.text.of_samples(rows, len(self.sample)),
                            None if self.noise_level is None else of_rows(self.noise_level, rows), self.channels)
            groups.append(out.unflatten(0, (-1, len(some))))  # (R, samples, ...)
        return torch.cat(groups, dim=1).flatten(0, 1)

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

    def compute(self, call: Call, first: Level, device: Device) -> Tensor:
        """The call at its level, or at the first fallback that memory suffices for. Raises OutOfMemory when none does."""
        levels = (first, *FALLBACKS)
        while self.needed < len(levels):
            try:
                return call.at(levels[self.needed])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            device.relieve()  # outside the handler: the error holds on to everything the attempt had made
            self.needed += 1
            logging.warning("Show-1: out of memory with %s; it is done again in smaller parts, and so is the rest of this run "
                            "(fallback %d of %d).", described(call.sample), self.needed, len(FALLBACKS))
        raise OutOfMemory(described(call.sample))


def decide(unet: UNet, call: Call, device: Device) -> Level:
    """How much of a call to compute at once: as many samples as what is free has room for, or as are fast on a CPU."""
    sample, config = call.sample, unet.config
    if sample.device.type == "cpu":
        growth = call.texts * config.block_out_channels[0] // sample.shape[1]
        return Level(samples=chunk_length(sample, len(sample), growth))
    free = device.free()
    if free is None:
        return Level()
    pixels = sample[0].numel() // sample.shape[1]
    each = config.peak_elements * pixels * sample.element_size()  # of a sample under one text
    rows = int(MARGIN * free / each)
    if rows >= call.texts:
        return Level(samples=min(rows // call.texts, len(sample)))
    return Level(samples=1, texts_together=False, chunk=None if rows else FALLBACKS[1].chunk)


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
