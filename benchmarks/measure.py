"""How time, memory, arithmetic and the machine's limit are measured."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

Call = Callable[[], Tensor]
RESET_PEAK, PEAK = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True)
class Measured:
    """One way of doing a step: median seconds, peak bytes above what was there before, and how often it was run."""

    seconds: float
    peak: int
    times: int


def side_by_side(calls: dict[str, Call], device: str, least_seconds: float = 1.0, least_times: int = 3) -> dict[str, Measured]:
    """Measure several ways in turns, so that whatever else the machine does falls on all of them alike."""
    peaks = {name: peak_of(call, device) for name, call in calls.items()}  # warms up, too
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    began = time.perf_counter()
    while time.perf_counter() - began < least_seconds * len(calls) or len(next(iter(seconds.values()))) < least_times:
        for name, call in calls.items():
            seconds[name].append(timed(call, device))
    return {name: Measured(statistics.median(taken), peaks[name], len(taken)) for name, taken in seconds.items()}


def timed(call: Call, device: str) -> float:
    """Seconds of one call, until the device has finished it."""
    wait(device)
    began = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - began


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def peak_of(call: Call, device: str) -> int:
    """Most bytes in use during a call, above those before it; on a CPU of the process (Linux; elsewhere 0)."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        timed(call, device)
        return torch.cuda.max_memory_allocated() - before
    call()  # libraries keep room of their own from the first call on
    if not RESET_PEAK.exists():
        return 0
    before = resident("VmRSS")
    RESET_PEAK.write_text("5")
    call()
    return resident("VmHWM") - before


def resident(line: str) -> int:
    """A size in bytes from the process's status."""
    return next(int(text.split()[1]) * 1024 for text in PEAK.read_text().splitlines() if text.startswith(line))


def cpu_attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """PyTorch counts the attention of GPUs only."""
    return sdpa_flop(query, key, value)


def flops(call: Call) -> int:
    """Floating-point operations of a call in its products and convolutions, a multiplication with addition as two."""
    own = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: cpu_attention_flops}
    with FlopCounterMode(display=False, custom_mapping=own) as counter:
        call()
    return counter.get_total_flops()


def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """Operations a second of the best of several large matrix products: the machine's limit as we measure it."""
    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn((size, size), device=device, dtype=dtype) for _ in range(2))
    timed(lambda: a @ b, device)
    return 2 * size**3 / min(timed(lambda: a @ b, device) for _ in range(10))


def machine(device: str) -> str:
    """What all this was measured on, in a line."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"{cpu_name()}, {torch.get_num_threads()} threads"
    return f"{name}; Python {platform.python_version()}, PyTorch {torch.__version__}"


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] \
        if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
