"""Every Triton kernel compiles to machine code for the GPUs it is meant for; no GPU is needed for that.

The launchers run as they are, on tensors without memory; what they would launch is compiled instead, with the
specialisation that Triton would choose: sizes of 1 as constants, multiples of 16 known as such.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.nn import GroupNorm

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
REGISTERS = {"group_norm": 128, "residual_sum": 64, "gated": 96, "temporal_attention": 152}  # a thread, at most
FEATURES = {"x", "h", "q", "k", "v", "out", "bias"}  # a kernel's arguments that are read or written a tile at a time
SMALL = {"w", "b", "affine", "added", "means", "squares"}  # a value a channel or a group: read once a program, before its loop
MOST_SMALL = 6  # loads of single two-byte values in a kernel
VECTOR = 16  # bytes that a thread reads or writes at once, at most
MODULES = [importlib.import_module(f"show1_core.kernels.{name}") for name in ("group_norm", "pointwise", "attention")]
LAUNCHERS = {"group_norm": lambda x, norm, act, affine, added: MODULES[0].launch(
                 x, norm.num_groups, norm.eps, norm.weight, norm.bias, act, affine, added),
             "residual_sum": MODULES[1].launch_sum, "gated": MODULES[1].launch_gated, "temporal_attention": MODULES[2].launch}


@dataclass(frozen=True)
class Launch:
    """What the compiler made of a kernel; registers, spills and accesses of NVIDIA's alone."""

    kernel: str
    shared: int  # bytes
    registers: int = 0  # a thread
    spilled: int = 0  # bytes a thread
    accesses: tuple[tuple[str, int], ...] = ()  # every instruction that reads or writes global memory: argument, bytes a thread


def accesses_of(ptx, names):
    """The argument and the bytes of every load and store: addresses are followed back to the pointers they begin with."""
    made = {}  # registers and parameters that a register is made of
    for target, sources in re.findall(r"^\s*(?:@!?%p\d+ )?[a-z][\w.]*\s+(%rd\d+), (.*);", ptx, re.MULTILINE):
        made.setdefault(target, set()).update(re.findall(r"%rd\d+|\w+_param_\d+", sources))

    def argument(register):
        reached, new = set(), {register}
        while new:
            reached |= new
            new = set().union(*(made.get(one, set()) for one in new)) - reached
        name, = (names[int(one.rpartition("_")[2])] for one in reached if "_param_" in one)
        return name

    found = re.findall(r"\b(?:ld|st)\.global\S*?(\.v\d)?\.[bfu](\d+)\b[^;]*\[ *(%rd\d+)", ptx)
    plain = [(argument(register), int(vector[2:] or 1) * int(bits) // 8) for vector, bits, register in found]
    copies = re.findall(r"\bcp\.async\.c[ag]\.shared\.global[^,;]*, *\[ *(%rd\d+)[^,;]*, *(0x[0-9a-f]+|\d+)", ptx)
    assert len(plain) + len(copies) == len(re.findall(r"\b(?:ld|st)\.global|\bcp\.async\S*\.global", ptx))
    return tuple(plain + [(argument(register), int(bytes, 0)) for register, bytes in copies])


def launched(kernel, binary, names):
    """Registers and spills as the assembler reports them, and how global memory is read and written; names: of arguments."""
    if "cubin" not in binary.asm:
        return Launch(kernel, binary.metadata.shared)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(binary.asm["cubin"])
        said = subprocess.run([CUOBJDUMP, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    registers, stack = (int(re.search(rf"{name}:(\d+)", said)[1]) for name in ("REG", "STACK"))
    return Launch(kernel, binary.metadata.shared, registers, stack, accesses_of(binary.asm["ptx"], names))


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
        names = [name for name, kind in signature.items() if kind != "constexpr"]
        self.launches.append(launched(self.kernel.__name__, binary, names))


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


def clip(*shape, dtype=HALF):
    """(B, C, F, H, W) as a view of frames, channels last."""
    batch, channels, frames, *size = shape
    return empty(batch, frames, *size, channels, dtype=dtype).permute(0, 4, 1, 2, 3)


def image(*shape, dtype=HALF):
    """(N, C, H, W), channels last."""
    return empty(*shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def norm(channels, dtype=HALF):
    return GroupNorm(32, channels, device="meta", dtype=dtype)


# What the published networks call: widths of every level of the five, frames one by one and all together.
CALLS = {
    "group_norm": [
        (image(16, 320, 40, 64), norm(320), "gelu", empty(16, 640), empty(320)),
        (image(16, 1920, 20, 32), norm(1920), "gelu", None, None),
        (image(16, 2560, 5, 8), norm(2560), "silu", None, empty(16, 2560)),
        (image(16, 384, 160, 256, dtype=BRAIN), norm(384, BRAIN), "gelu", None, None),
        (clip(2, 128, 8, 160, 256, dtype=BRAIN), norm(128, BRAIN), "silu", None, empty(128, dtype=BRAIN)),
        (clip(14, 640, 5, 20, 32), norm(640), "silu", None, empty(640)),
        (clip(2, 1280, 29, 5, 9), norm(1280), "none", None, None),
    ],
    "residual_sum": [(image(16, 320, 40, 64), image(16, 320, 40, 64), empty(320), 1.4),
                     (clip(2, 768, 8, 10, 16, dtype=BRAIN), clip(2, 768, 8, 10, 16, dtype=BRAIN), empty(768, dtype=BRAIN), 1.0)],
    "gated": [(empty(40960, 2560),), (empty(2, 640, 10240, dtype=BRAIN),), (empty(2, 2880, 6144),)],
    "temporal_attention": [
        *((*(empty(2, frames, pixels, heads * size),) * 3, heads) for frames, pixels, heads, size in
          ((8, 640, 64, 10), (5, 40, 64, 20), (29, 2880, 5, 64), (32, 9, 2, 128))),
        (*(empty(2, 8, 640, 768, dtype=BRAIN),) * 3, 64),
    ],
}
ODD = {  # nothing that anybody calls, but it has to work
    "group_norm": [(image(1, 32, 1, 1, dtype=SINGLE), norm(32, SINGLE), "none", None, None),
                   (image(2, 33, 7, 5), GroupNorm(3, 33, device="meta", dtype=HALF), "none", None, None)],
    "residual_sum": [(image(1, 3, 1, 5, dtype=SINGLE), image(1, 3, 1, 5, dtype=SINGLE), None, 1.0)],
    "gated": [(empty(1, 6),)],
    "temporal_attention": [(*(empty(1, 1, 1, 8),) * 3, 1)],
}
KERNELS = [function for function in FUNCTIONS if function.name in CALLS]


def compiled(function, calls, launches):
    """The launches that these calls have made."""
    for inputs in calls:
        before = len(launches)
        with torch.no_grad():
            assert explain(function, *inputs)["triton"] == ()
            out = LAUNCHERS[function.name](*inputs)
        assert out.device.type == "meta" and len(launches) > before
    assert all(launch.shared <= SHARED_MEMORY for launch in launches), launches
    return launches


@pytest.mark.parametrize("function", KERNELS, ids=lambda function: function.name)
@pytest.mark.parametrize("launches", ["A100", "H200"], indirect=True)
def test_published_shapes_compile_without_spills(function, launches):
    for launch in compiled(function, CALLS[function.name], launches):
        assert launch.spilled == 0 and launch.registers <= REGISTERS[function.name], launch


@pytest.mark.parametrize(("function", "inputs"), [(function, inputs) for function in KERNELS for inputs in CALLS[function.name]],
                         ids=lambda value: value.name if hasattr(value, "name") else f"{tuple(value[0].shape)}")
@pytest.mark.parametrize("launches", ["A100", "H200"], indirect=True)
def test_every_access_of_features_is_as_wide_as_their_channels_allow(function, inputs, launches):
    """Sixteen bytes a thread; heads of 10, 12 or 20 channels begin at multiples of 4 or 8 bytes."""
    heads = inputs[0].shape[-1] // inputs[-1] * inputs[0].element_size() if function.name == "temporal_attention" else VECTOR
    for launch in compiled(function, [inputs], launches):
        by_argument = {name: {width for argument, width in launch.accesses if argument == name}
                       for name in dict(launch.accesses)}
        assert by_argument.keys() <= FEATURES | SMALL and by_argument.keys() & {"x", "q"}, by_argument
        assert all(widths == {math.gcd(heads, VECTOR)} for name, widths in by_argument.items() if name in FEATURES), by_argument
        assert sum(width == 2 for _, width in launch.accesses) <= MOST_SMALL, launch


@pytest.mark.parametrize("function", KERNELS, ids=lambda function: function.name)
@pytest.mark.parametrize("launches", TARGETS, indirect=True)
def test_odd_shapes_compile(function, launches):
    assert all(launch.spilled == 0 for launch in compiled(function, ODD[function.name], launches))


@pytest.mark.parametrize("function", KERNELS, ids=lambda function: function.name)
@pytest.mark.parametrize("launches", ["MI300"], indirect=True)
def test_an_amd_gpu_takes_them_too(function, launches):
    assert compiled(function, CALLS[function.name][:2], launches)
