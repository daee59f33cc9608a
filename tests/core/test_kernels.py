"""Which backend serves what, the reasons that are given, and the eager references. `test_kernels_triton.py` has the kernels."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Conv2d, Conv3d, GroupNorm

from benchmarks.measure import LiveBytes
from show1_core import kernels
from show1_core.kernels import (
    CONVOLUTION,
    FUNCTIONS,
    GROUP_NORM,
    LATE_BIAS,
    RESIDUAL_SUM,
    Backend,
    Function,
    conv_norm,
    conv_residual,
    explain,
    requirements,
    triton_guard,
    use_backend,
)
from show1_core.kernels.attention import at_once, eager
from show1_core.models.temporal import TemporalConv

ROOT = Path(kernels.__file__).resolve().parents[2]
HALF = torch.float16
MODULE = importlib.import_module("show1_core.kernels.convolution")  # the package has a function of that name


def norm_inputs(x=None, norm=None, act="silu", affine=None, added=None):
    return torch.randn(2, 8, 3, 5) if x is None else x, norm or GroupNorm(2, 8), act, affine, added


def on_meta(*shape, dtype=HALF):
    """(N, C, H, W), channels last, where costs are counted as if on a GPU."""
    return torch.empty(*shape, dtype=dtype, device="meta").contiguous(memory_format=torch.channels_last)


def interpreted(code, *arguments):
    """Run Python in a process of its own, with Triton's interpreter in place of its compiler."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive",
                   "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *code, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment)


@pytest.mark.slow  # forty seconds of one core: the interpreter takes a program at a time
def test_every_kernel_in_tritons_interpreter():
    if not triton_guard.INSTALLED:
        pytest.skip("Triton is not installed")
    run = interpreted(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core/test_kernels_triton.py"])
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "skipped" not in run.stdout.splitlines()[-1] and "passed" in run.stdout.splitlines()[-1]


def test_every_function_has_names_of_its_own_and_eager_last():
    assert len({function.name for function in FUNCTIONS}) == len(FUNCTIONS)
    for function in FUNCTIONS:
        names = [backend.name for backend in function.backends]
        assert names[-1] == "eager" and len(set(names)) == len(names) > 1 and not function.backends[-1].requirements


def test_on_a_cpu_eager_serves_and_the_reason_is_at_hand():
    inputs = norm_inputs()
    assert explain(GROUP_NORM, *inputs) == {"triton": (
        "the tensors are on cpu, not on a GPU", "x has strides (120, 15, 5, 1): channels are not last"), "eager": ()}
    assert GROUP_NORM.choose(inputs).name == "eager"


def test_without_memory_what_would_serve_on_a_gpu_does():
    x, norm = on_meta(2, 8, 3, 5), GroupNorm(2, 8, device="meta", dtype=HALF)
    assert GROUP_NORM.choose(norm_inputs(x, norm)).name == "triton"
    assert kernels.group_norm(x, norm, "silu").stride() == x.stride()
    assert GROUP_NORM.choose(norm_inputs(x.contiguous(), norm)).name == "eager"


def test_use_backend_holds_inside_its_context_and_thread_alone():
    inputs = norm_inputs(on_meta(2, 8, 3, 5), GroupNorm(2, 8, device="meta", dtype=HALF))
    seen = []
    with use_backend("eager"):
        thread = threading.Thread(target=lambda: seen.extend(explain(GROUP_NORM, *inputs)["triton"]))
        thread.start()
        thread.join()
        with use_backend("any"):
            assert GROUP_NORM.choose(inputs).name == "triton"
        assert GROUP_NORM.choose(inputs).name == "eager"
        assert explain(GROUP_NORM, *inputs)["triton"] == ("eager is asked for",)
    assert seen and "eager is asked for" not in seen and GROUP_NORM.choose(inputs).name == "triton"
    with pytest.raises(ValueError, match="not by 'cuda'"), use_backend("cuda"):
        pass


FEW = requirements.at_most(3, "rows", lambda inputs: len(inputs["x"]))


def test_the_first_backend_that_takes_the_inputs_runs_and_its_errors_are_errors():
    def broken(x, heads):
        raise RuntimeError("broken")

    function = Function("f", ("x", "heads"), (
        Backend("triton", broken, (FEW,), sure=True), Backend("eager", lambda x, heads: x)))
    assert len(function(torch.ones(4), 1)) == 4
    assert explain(function, torch.ones(4), 1)["triton"] == ("rows: 4, at most 3",)
    with pytest.raises(RuntimeError, match="broken"):
        function(torch.ones(3), 1)
    with use_backend("eager"):
        assert len(function(torch.ones(3), 1)) == 3


def test_what_is_not_sure_serves_only_when_any_is_asked_for():
    untried = Backend("triton", lambda x: "untried", (FEW,))
    function = Function("f", ("x",), (untried, Backend("eager", lambda x: "eager")))
    few, many = torch.ones(3), torch.ones(4)
    assert function(few) == "eager"
    for wanted, answer in (("any", "untried"), ("eager", "eager")):
        with use_backend(wanted):
            assert function(few) == answer
    with use_backend("any"):
        assert function(many) == "eager", "where it cannot serve, another does"


def streamed(layer):
    """A layer of a host that moves its weights as they are used."""
    layer.streamed = True
    return layer


def what_a_host_says(layer):
    return "are cast on the fly" if getattr(layer, "streamed", False) else None


def hooked(layer):
    layer.register_forward_pre_hook(lambda module, inputs: None)
    return layer


@pytest.mark.parametrize("norm, reason", [
    (streamed(GroupNorm(2, 8)), "norm's weights are cast on the fly"),
    (hooked(GroupNorm(2, 8)), "hooked"),
    (GroupNorm(2, 8, dtype=HALF), "norm.weight is torch.float16 on cpu, x is torch.float32 on cpu"),
    (GroupNorm(2, 8, device="meta"), "on meta"),
    (GroupNorm(2, 8, affine=False), "norm has no weight"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_kernel_steps_aside_where_weights_do_not_lie_ready(norm, reason):
    with requirements.weights_looked_at(what_a_host_says):
        assert any(reason in why for why in explain(GROUP_NORM, *norm_inputs(norm=norm))["triton"])


@pytest.mark.parametrize("inputs, reason", [
    (norm_inputs(on_meta(2, 8, 3, 5, dtype=torch.float64)), "x: torch.float64, not all torch.float32 or all torch.float16"),
    (norm_inputs(act="mish"), "act is 'mish', not 'none' or 'silu' or 'gelu'"),
    (norm_inputs(torch.randn(2, 8, 3, 5)), "channels are not last"),
    (norm_inputs(on_meta(2, 8, 5, 3).transpose(2, 3)), "channels are not last"),
    (norm_inputs(on_meta(0, 8, 3, 5)), "x has shape (0, 8, 3, 5)"),
    (norm_inputs(on_meta(2, 8, 2**20, 2**9)), "over 8589934592 elements"),
    (norm_inputs(on_meta(2, 8, 3, 5), affine=torch.ones(2, 16, device="meta")), "x, affine: torch.float16, torch.float32"),
    (norm_inputs(affine=torch.ones(16, 2).t()), "affine has strides (1, 2): its last axis is not contiguous"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_kernel_steps_aside_with_a_reason(inputs, reason):
    assert any(reason in why for why in explain(GROUP_NORM, *inputs)["triton"]), explain(GROUP_NORM, *inputs)


def test_a_kernel_steps_aside_where_gradients_are_recorded():
    inputs = norm_inputs(on_meta(2, 8, 3, 5), GroupNorm(2, 8, device="meta", dtype=HALF))
    with torch.enable_grad():
        assert any("no backward" in why for why in explain(GROUP_NORM, *inputs)["triton"])
    assert explain(GROUP_NORM, *inputs)["triton"] == ()


@pytest.mark.parametrize("change", [{"padding": 0}, {"groups": 2}, {"stride": (2, 1, 1)}, {"kernel_size": (3, 3, 1)}])
def test_the_temporal_convolution_is_of_one_kind(change):
    conv = Conv3d(4, 4, **{"kernel_size": (3, 1, 1), "padding": (1, 0, 0), **change})
    reasons = explain(CONVOLUTION, torch.randn(1, 4, 3, 2, 2), conv, None, False)["flat"]
    assert any(why.startswith("conv.") and why.partition(" ")[0][5:] in change for why in reasons)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("size, outputs", [
    ((2, 4, 1, 3, 5), 4), ((1, 8, 2, 1, 1), 4), ((2, 32, 8, 6, 4), 32), ((1, 16, 29, 2, 3), 8)])
@pytest.mark.parametrize("layout", ["clip", "view of frames", "channels last"])
@pytest.mark.parametrize("residual", [False, True])
def test_on_a_cpu_the_temporal_convolution_is_a_flat_one(size, outputs, layout, residual, dtype, tolerance):
    conv = Conv3d(size[1], outputs, (3, 1, 1), padding=(1, 0, 0)).to(dtype)
    x = torch.randn(size).to(dtype)
    if layout == "view of frames":
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    elif layout == "channels last":
        x = x.contiguous(memory_format=torch.channels_last_3d)
    added = torch.randn(size[0], outputs, *size[2:]).to(dtype)
    assert CONVOLUTION.choose((x, conv, None, False)).name == "flat"

    def result():
        return conv_residual(x, conv, added) if residual else kernels.convolution(x, conv)

    with use_backend("eager"):
        expected = result()
    torch.testing.assert_close(result(), expected, rtol=tolerance, atol=tolerance)


CONVOLUTIONS = [  # what serves on a GPU, a layer and its input
    ("eager", Conv2d(6, 8, 3, padding=1), torch.randn(2, 6, 5, 7), False),
    ("product", Conv2d(6, 8, 1), torch.randn(2, 6, 5, 7), False),
    ("transposed", Conv2d(6, 8, 3, padding=1), torch.randn(2, 6, 5, 7), True),
    ("transposed", Conv2d(6, 8, 3, padding=1), torch.randn(2, 6, 1, 1), True),
    ("flat", Conv3d(6, 8, (3, 1, 1), padding=(1, 0, 0)), torch.randn(2, 6, 3, 5, 7), False)]


@pytest.mark.parametrize("name, conv, x, doubled", CONVOLUTIONS)
def test_every_form_of_a_convolution_gives_the_same_with_its_bias_at_once_or_late(name, conv, x, doubled):
    backend = next(backend for backend in CONVOLUTION.backends if backend.name == name)
    meta = Conv2d if x.ndim == 4 else Conv3d
    layer = meta(6, 8, conv.kernel_size, padding=conv.padding, device="meta")
    last = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    clip = torch.empty_like(x, device="meta").contiguous(memory_format=last)
    assert CONVOLUTION.choose((clip, layer, None, doubled)).name == name
    expected = conv(F.interpolate(x, scale_factor=2.0) if doubled else x)
    torch.testing.assert_close(backend.run(x, conv, None, doubled), expected)
    bias = conv.bias.reshape(-1, *(1,) * (x.ndim - 2))
    torch.testing.assert_close(backend.run(x, conv, conv.bias, doubled) + bias, expected)


def test_a_bias_comes_late_on_gpus_where_the_weights_lie_ready():
    x, conv = on_meta(2, 6, 5, 7, dtype=torch.float32), Conv2d(6, 8, 3, padding=1, device="meta")
    assert LATE_BIAS(x, conv) is conv.bias and LATE_BIAS(torch.randn(2, 6, 5, 7), Conv2d(6, 8, 3)) is None
    with requirements.weights_looked_at(lambda layer: "are cast on the fly"):
        assert LATE_BIAS(x, conv) is None
    with use_backend("eager"):
        assert LATE_BIAS(x, conv) is None


@pytest.mark.parametrize("added", [None, (8,), (2, 8)], ids=str)
def test_a_late_bias_changes_nothing(added, monkeypatch):
    x, conv, norm, rest = torch.randn(2, 6, 5, 7), Conv2d(6, 8, 3, padding=1), GroupNorm(2, 8), torch.randn(2, 8, 5, 7)
    time = None if added is None else torch.randn(added)
    normed = norm(conv(x) + (0 if time is None else time.reshape(-1, 8, 1, 1)))
    for late in (None, conv.bias):
        monkeypatch.setattr(MODULE, "late_bias", lambda x, conv, late=late: late)
        torch.testing.assert_close(conv_norm(x, conv, norm, "silu", None, time), F.silu(normed))
        torch.testing.assert_close(conv_residual(x, conv, rest, 1.5), (rest + conv(x)) / 1.5)


def test_a_sum_of_tensors_that_lie_in_different_ways_is_eager():
    x = on_meta(2, 8, 3, 5)
    assert explain(RESIDUAL_SUM, x, x, None, 1.0)["triton"] == ()
    for other in (x.contiguous(), on_meta(2, 16, 3, 5)[:, 8:], on_meta(2, 8, 5, 3).transpose(2, 3)):
        assert "not alike" in explain(RESIDUAL_SUM, x, other, None, 1.0)["triton"][0]


@pytest.mark.parametrize("layer, reason", [
    (hooked(Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0))), "hooked"),
    (streamed(Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0))), "conv's weights are cast on the fly"),
    (Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0), dtype=HALF), "is torch.float16"),
    (Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0), device="meta"), "on meta"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_flat_convolution_steps_aside_where_weights_do_not_lie_ready(layer, reason):
    inputs = (torch.randn(1, 4, 3, 2, 2), layer, None, False)
    with requirements.weights_looked_at(what_a_host_says):
        assert any(reason in why for why in explain(CONVOLUTION, *inputs)["flat"]) and CONVOLUTION.choose(inputs).name == "eager"


def test_kernels_know_torch_and_triton_alone():
    for file in Path(kernels.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= set(sys.stdlib_module_names) | {"torch"}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or node.module.split(".")[0] in set(sys.stdlib_module_names) | {"torch"}


def test_without_triton_eager_serves():
    code = ("import sys; sys.modules['triton'] = None; import torch; from torch.nn import GroupNorm as Norm; "
            "from show1_core.kernels import *; from show1_core.kernels.triton_guard import OBSTACLE; "
            "print(OBSTACLE, group_norm(torch.ones(1, 4, 2, 2), Norm(2, 4)).max().item())")
    run = interpreted(["-c", code])
    assert run.stdout.split("\n")[0] == "Triton is not installed 0.0", run.stderr


@pytest.mark.skipif(os.name == "nt", reason="on Windows Triton comes with a compiler")
def test_a_machine_that_triton_cannot_build_on_runs_eager(monkeypatch):
    monkeypatch.setattr(triton_guard, "INSTALLED", True)
    monkeypatch.setattr(triton_guard.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(requirements, "OBSTACLE", triton_guard.obstacle())
    kernel, eager = GROUP_NORM.backends
    function = replace(GROUP_NORM, backends=(replace(kernel, requirements=(requirements.OnTriton(("cpu",)),)), eager))
    assert "no gcc or clang" in explain(function, *norm_inputs())["triton"][0]
    assert function.choose(norm_inputs()).name == "eager"


@pytest.mark.parametrize("act, torchs", [("none", lambda x: x), ("silu", F.silu), ("gelu", F.gelu)])
def test_eager_group_norm_is_torchs(act, torchs):
    x, norm, *_ = norm_inputs()
    affine, added = torch.randn(2, 16), torch.randn(8)
    scale, shift = affine[:, :, None, None].chunk(2, dim=1)
    assert torch.equal(kernels.group_norm(x, norm, act), torchs(norm(x)))
    expected = torchs(norm(x + added[:, None, None]) * (1 + scale) + shift)
    torch.testing.assert_close(kernels.group_norm(x, norm, act, affine, added), expected)


def test_attention_over_time_is_split_where_the_device_takes_no_more():
    q, k, v = torch.randn(3, 2, 5, 11, 8)  # (B, F, S, heads * D)
    for most in (1, 4, 21, 22):
        torch.testing.assert_close(at_once(q, k, v, 2, most), eager(q, k, v, 2))


@pytest.mark.parametrize("size", [(1, 1, 1, 8), (2, 5, 11, 8), (3, 29, 4, 20)], ids=str)
@pytest.mark.parametrize("slices", [False, True])
def test_on_a_cpu_attention_over_time_copies_its_result_alone(size, slices):
    q, k, v = (t[..., :size[2], :] for t in torch.randn(3, *size[:2], size[2] + slices, size[3]))  # as `by_pixels` cuts them
    with LiveBytes((q, k, v)) as live:
        out = eager(q, k, v, 2)
    assert live.peak <= 2.5 * out.numel() * out.element_size()  # before it is in order, and in order
    one = [t.transpose(1, 2).unflatten(-1, (2, -1)).transpose(2, 3).double() for t in (q, k, v)]  # (B, S, heads, F, D)
    weights = (one[0] @ one[1].mT * one[0].shape[-1] ** -0.5).softmax(-1)
    expected = (weights @ one[2]).transpose(2, 3).flatten(3).transpose(1, 2)
    torch.testing.assert_close(out, expected.float())


def test_a_compiler_sees_one_graph():
    layer, x = TemporalConv(32, nn).eval(), torch.randn(3, 32, 2, 2)
    assert torch.equal(torch.compile(layer, backend="eager", fullgraph=True)(x, 3), layer(x, 3))


def test_dropout_takes_part_in_training():
    layer, x = TemporalConv(32, nn), torch.randn(3, 32, 2, 2)
    expected = layer.eval()(x, 3)
    assert torch.equal(layer(x, 3), expected)
    assert not torch.equal(layer.train()(x, 3), expected)
