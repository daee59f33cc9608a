"""How time, memory, arithmetic and the machine's limit are measured."""

from __future__ import annotations

import platform
import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop

Call = Callable[[], object]
PROCESSES = Path("/proc")


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
    if not PROCESSES.exists():
        return 0
    before = resident("VmRSS")
    (PROCESSES / "self" / "clear_refs").write_text("5")  # forgets the peak
    call()
    return resident("VmHWM") - before


def resident(line: str, process: int | str = "self") -> int:
    """A size in bytes from a process's status: VmRSS now, VmHWM at most so far."""
    status = (PROCESSES / str(process) / "status").read_text()
    return next(int(text.split()[1]) * 1024 for text in status.splitlines() if text.startswith(line))


def cpu_attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """PyTorch counts the attention of GPUs only."""
    return sdpa_flop(query, key, value)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors made inside it that live at once; on the meta device at no cost in memory.

    `peak` is the most there were, `before` aside: tensors that were there, views of which cost nothing. What a library keeps for
    itself while it computes is not seen.
    """

    def __init__(self, before: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.peak, self._now, self._storages = 0, 0, {value.untyped_storage()._cdata for value in before}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and value.untyped_storage()._cdata not in self._storages:
                self._add(value.untyped_storage())
        return out

    def _add(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._storages.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._storages.remove(key)
        self._now -= size


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
