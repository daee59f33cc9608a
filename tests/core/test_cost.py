"""The forward passes launch no more kernels and move no more bytes than these: nobody adds a copy unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import GroupNorm

from benchmarks import cost
from show1_core.kernels import group_norm
from show1_core.stages import STAGES, Stage

LEEWAY = 1.01  # versions of PyTorch take operations apart a little differently

# Stage: kernels and gigabytes of our guided step at the published size. Who makes a step take less writes it here, too.
MOST = {"keyframes": (1520, 32.9), "interpolation": (1476, 129.7), "first-frame": (732, 11.0), "sr1": (1346, 102.1),
        "sr2": (1294, 186.3)}
BYTES, KERNELS_LAUNCHED, SECONDS = 0.70, 0.40, 50.0  # of the official way, and for the published run on an H100, at most


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_no_stage_costs_more_than_it_did(stage: Stage) -> None:
    kernels = cost.our_step(cost.SIZES["published"], stage)
    launches, gigabytes = MOST[stage.name]
    moved = sum(kernel.bytes for kernel in kernels) / 1e9
    assert len(kernels) <= LEEWAY * launches and moved <= LEEWAY * gigabytes, \
        f"{stage.name} now takes {len(kernels)} kernels and {moved:.1f} GB; python benchmarks/cost.py shows of which kind"


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_ours_is_no_more_than_the_official_way(stage: Stage) -> None:
    size = cost.SIZES["mini"]
    official, ours = cost.official_step(size, stage), cost.our_step(size, stage)
    assert len(ours) <= len(official)
    assert sum(kernel.bytes for kernel in ours) <= LEEWAY * sum(kernel.bytes for kernel in official)


def test_the_published_run_is_as_cheap_as_the_table_says() -> None:
    table = cost.RESULTS.read_text(encoding="utf-8").split(cost.BEGIN)[1].split(cost.END)[0]
    launches, moved = (float(cell) for cell in next(
        line for line in table.splitlines() if line.startswith("| ours, of official")).split("|")[3:6:2])
    seconds = next(line for line in table.splitlines() if line.startswith("| H100")).split("|")[-3].split("/")[1]
    assert launches <= KERNELS_LAUNCHED and moved <= BYTES and float(seconds.split()[0]) <= SECONDS


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float16, device="meta")


X = zeros(2, 32, 8, 8)  # 8192 bytes
CLIP = zeros(1, 2, 32, 8, 8).transpose(1, 2)  # the same, as a clip with frames outermost
WEIGHT, BIAS = zeros(32, 32, 1, 1), zeros(32)  # 2048 and 64 bytes
HEADS = zeros(2, 4, 16, 8)  # 2048 bytes
FILTER = zeros(32, 32, 3, 3)  # 18432 bytes
LAST = X.to(memory_format=torch.channels_last)
MANY = zeros(2, 32, 512, 256).to(memory_format=torch.channels_last)  # 2^24 bytes
NORM = GroupNorm(4, 32, device="meta", dtype=torch.float16)

# What is called, and the bytes of each kernel it is; norms write mean and deviation of each group, too.
KERNELS: list[tuple[str, Callable[[], object], list[int]]] = [
    ("a view", lambda: X.flatten(2).transpose(1, 2)[:1], []),
    ("memory that nobody has written", lambda: torch.empty_like(X), []),
    ("a sum", lambda: X + X, [3 * 8192]),
    ("a sum in place", lambda: X.add_(X), [3 * 8192]),
    ("what a stride of zero repeats", lambda: X[:1].expand(2, -1, -1, -1) + X, [4096 + 2 * 8192]),
    ("a copy", lambda: X.transpose(1, 2).contiguous(), [2 * 8192]),
    ("a convolution, channels first", lambda: F.conv2d(X, WEIGHT), [8192 + 2048 + 8192]),
    ("a convolution with a bias", lambda: F.conv2d(X, WEIGHT, BIAS), [8192 + 2048 + 64 + 8192, 2 * 8192]),
    ("a convolution, channels last", lambda: F.conv2d(X.to(memory_format=torch.channels_last), WEIGHT),
     [2 * 8192, 8192 + 2048 + 8192]),
    ("a convolution of a strided clip", lambda: F.conv3d(CLIP, WEIGHT[..., None]), [8192 + 2048 + 8192, 2 * 8192]),
    ("a group norm", lambda: NORM(X), [2 * 8192 + 2 * 64 + 32, 8192, 0]),
    ("a layer norm of strided tokens", lambda: F.layer_norm(X.flatten(2).transpose(1, 2), (32,)), [2 * 8192 + 1024, 2 * 8192]),
    ("channels last by the weights", lambda: F.conv2d(X, FILTER.to(memory_format=torch.channels_last)),
     [2 * 18432, 8192 + 18432 + 4608, 2 * 8192]),
    ("our group norm of few", lambda: group_norm(LAST, NORM, "silu"), [2 * 8192 + 128]),
    ("our group norm of many", lambda: group_norm(MANY, NORM, "silu"), [2 * 2**24 + 128, 2**24]),
    ("attention", lambda: F.scaled_dot_product_attention(HEADS, HEADS, HEADS), [4 * 2048]),
]


@pytest.mark.parametrize(("call", "expected"), [row[1:] for row in KERNELS], ids=[row[0] for row in KERNELS])
def test_what_a_kernel_moves(call: Callable[[], object], expected: list[int]) -> None:
    with torch.no_grad(), cost.counting() as kernels:
        call()
    assert [kernel.bytes for kernel in kernels] == expected


def test_a_kernel_takes_the_longer_of_arithmetic_and_bytes_and_its_launch() -> None:
    card = cost.Card("a card", tflops=100, bandwidth=1000, reached_flops=0.5, reached_bandwidth=0.5, launch=2)
    arithmetic, traffic = cost.Kernel("product", 10**9, 10**12), cost.Kernel("copy", 10**10)  # 20 ms against 2, and 20 ms
    assert card.seconds([arithmetic, traffic]) == pytest.approx(0.040 + 2 * 2e-6)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_recorded_table_has_these_figures(stage: Stage) -> None:
    launches, gigabytes = MOST[stage.name]
    table = cost.RESULTS.read_text(encoding="utf-8").split(cost.BEGIN)[1].split(cost.END)[0]
    cells = next(line for line in table.splitlines() if line.startswith(f"| {stage.name} |")).split(" | ")
    assert (cells[2], cells[4]) == (f"{launches:,}", f"{gigabytes}")
