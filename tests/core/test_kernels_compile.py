"""Every Triton kernel compiles to machine code for the GPUs it is meant for; no GPU is needed for that.

The launchers run as they are, on tensors without memory; what they would launch is compiled instead, with the
specialisation that Triton would choose: sizes of 1 as constants, multiples of 16 known as such.
"""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.nn import Conv3d, GroupNorm

from show1_core.kernels import FUNCTIONS, explain
from show1_core.kernels.triton_guard import INTERPRETED

triton = pytest.importorskip("triton")
if INTERPRETED:
    pytest.skip("Triton's interpreter stands in for its compiler", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

pytestmark = pytest.mark.slow  # half a minute: every kernel is compiled for three GPUs
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32
POINTERS = {HALF: "*fp16", BRAIN: "*bf16", SINGLE: "*fp32"}
TARGETS = {"A100": GPUTarget("cuda", 80, 32), "H200": GPUTarget("cuda", 90, 32), "MI300": GPUTarget("hip", "gfx942", 64)}
CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
SHARED_MEMORY = 99 * 1024  # bytes a program may have on the smallest GPU of capability 8
# registers, spilled bytes and narrow accesses that a function's launches may have on NVIDIA's GPUs: as they are with Triton 3.9.
# To be tightened: a norm's 16 narrow accesses (chunks that start at odd places), the convolution's registers, spill and 48
# narrow accesses (its weights). The 32 of temporal_attention are a call of a single pixel.
BOUNDS = {"group_norm": (96, 0, 16), "temporal_conv": (255, 8, 48), "temporal_attention": (152, 0, 32)}
MODULES = [importlib.import_module(f"show1_core.kernels.{name}")
           for name in ("group_norm", "temporal_conv", "temporal_attention")]


@dataclass(frozen=True)
class Launch:
    """What the compiler made of a kernel; registers, spills and accesses of NVIDIA's alone."""

    kernel: str
    shared: int  # bytes
    registers: int = 0  # a thread
    spilled: int = 0  # bytes a thread
    narrow: int = 0  # instructions that load or store a single two-byte value


def launched(kernel, binary):
    """Registers and spills as the assembler reports them, and how wide global memory is read and written."""
    if "cubin" not in binary.asm:
        return Launch(kernel, binary.metadata.shared)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(binary.asm["cubin"])
        said = subprocess.run([CUOBJDUMP, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    registers, stack = (int(re.search(rf"{name}:(\d+)", said)[1]) for name in ("REG", "STACK"))
    accesses = re.findall(r"\b(?:ld|st)\.global\S*", binary.asm["ptx"])
    narrow = sum(bool(re.search(r"(?<!\.v2)(?<!\.v4)\.[bu]16$", access)) for access in accesses)
    return Launch(kernel, binary.metadata.shared, registers, stack, narrow)


class Compiled:
    """Stands in for a kernel: a launch compiles it."""

    def __init__(self, kernel, target, launches):
        self.kernel, self.target, self.launches = kernel, target, launches

    def __getitem__(self, grid):
        assert grid[0] < 2**31 and all(0 < size <= 65535 for size in grid[1:])
        return self.launch

    def launch(self, *arguments, num_warps=4, **constants):
        signature, attributes = {}, {}
        for index, (name, value) in enumerate(zip(self.kernel.arg_names, arguments)):
            if isinstance(value, torch.Tensor):
                signature[name] = POINTERS[value.dtype]
            elif isinstance(value, float):
                signature[name] = "fp32"
            elif value == 1:
                constants[name] = 1
            else:
                signature[name] = "i32"
            if isinstance(value, torch.Tensor) or (name in signature and value % 16 == 0):
                attributes[index,] = [["tt.divisibility", 16]]
        signature |= dict.fromkeys(constants, "constexpr")
        signature = {name: signature[name] for name in self.kernel.arg_names}
        binary = triton.compile(ASTSource(self.kernel, signature, constants, attributes), target=self.target,
                                options={"num_warps": num_warps})
        self.launches.append(launched(self.kernel.__name__, binary))


@pytest.fixture
def launches(monkeypatch, request):
    """Kernels of all modules replaced by their compilation; the list of what was compiled."""
    compiled = []
    for module in MODULES:
        monkeypatch.setattr(module, "tl", triton.language)
        monkeypatch.setattr(module, "constexpr", triton.language.constexpr)
        plain = [(name, function) for name, function in vars(module).items()
                 if inspect.isfunction(function) and function.__module__ == module.__name__
                 and inspect.getsource(function).startswith("@jit")]
        for name, function in plain:
            monkeypatch.setattr(module, name, triton.jit(function))
        kernels = [(name, kernel) for name, kernel in vars(module).items() if isinstance(kernel, triton.JITFunction)]
        source = "\n".join(inspect.getsource(value) for value in vars(module).values() if inspect.isfunction(value))
        for name, kernel in kernels:
            if re.search(rf"\b{name}\[", source):  # launched, not called by another kernel
                monkeypatch.setattr(module, name, Compiled(kernel, TARGETS[request.param], compiled))
    return compiled


def empty(*shape, dtype=HALF):
    return torch.empty(shape, dtype=dtype, device="meta")


def clip(*shape, dtype=HALF, memory_format=torch.contiguous_format):
    """(B, C, F, H, W) as a view of frames."""
    batch, channels, frames, *size = shape
    frames_first = empty(batch * frames, channels, *size, dtype=dtype).contiguous(memory_format=memory_format)
    return frames_first.unflatten(0, (batch, frames)).transpose(1, 2)


def norm(channels, dtype=HALF):
    return GroupNorm(32, channels, device="meta", dtype=dtype)


def conv(channels, dtype=HALF):
    return Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), device="meta", dtype=dtype)


LAST = torch.channels_last
CALLS = {
    "group_norm": [
        (empty(16, 320, 40, 64), norm(320), "gelu", empty(16, 640)[:, :320], empty(16, 640)[:, 320:]),
        (empty(16, 2560, 5, 8).contiguous(memory_format=LAST), norm(2560), "silu", None, None),
        (clip(2, 128, 8, 160, 256, dtype=BRAIN), norm(128, BRAIN), "silu", None, None),
        (empty(1, 32, 1, 1, dtype=SINGLE), norm(32, SINGLE), "none", None, None),
    ],
    "temporal_conv": [
        (clip(2, 320, 8, 40, 64), conv(320), clip(2, 320, 8, 40, 64)),
        (clip(2, 1280, 5, 5, 8, dtype=BRAIN, memory_format=LAST), conv(1280, BRAIN), None),
        (clip(1, 1, 1, 1, 1), conv(1), None),
    ],
    "temporal_attention": [
        *((*(empty(2, frames, pixels, heads * size),) * 3, heads) for frames, pixels, heads, size in
          ((8, 640, 64, 10), (5, 40, 64, 20), (29, 2880, 5, 64), (32, 9, 2, 128), (1, 1, 1, 8))),
        (*(empty(2, 8, 640, 768, dtype=BRAIN),) * 3, 64),
    ],
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
@pytest.mark.parametrize("launches", TARGETS, indirect=True)
def test_compiles(function, launches):
    for inputs in CALLS[function.name]:
        before = len(launches)
        assert len(explain(function, *inputs)[0].reasons) == 1  # the device
        out = function.backends[0].run(*inputs)
        assert out.device.type == "meta" and len(launches) > before
    assert all(launch.shared <= SHARED_MEMORY for launch in launches), launches
    bound = BOUNDS[function.name]
    for launch in launches:
        found = (launch.registers, launch.spilled, launch.narrow)
        assert all(value <= most for value, most in zip(found, bound, strict=True)), (launch, bound)
