"""Short memory and NaN or infinity, at every place of every network."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Hashable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from recording import error
from torch.utils._python_dispatch import TorchDispatchMode

from show1_core.models.pieces import piece_bytes
from show1_core.models.rescue import LADDER, NotFinite, Rung, TooLarge, check_finite, descend, first_not_finite, is_out_of_memory

# "1": every layer and every operation, which takes hours; else one of each kind of layer, and one of each place in the code
EVERY = os.environ.get("SHOW1_SWEEP") == "1"


def chosen(kinds: list[tuple[Hashable, Any]]) -> list[Any]:
    """The first of each kind, or all, of things with their kinds."""
    return [thing for _, thing in kinds] if EVERY else list(dict(reversed(kinds)).values())


@pytest.fixture
def small(recorded):
    """A UNet and inputs that are quickly done: a corner of the recorded call's first frames."""
    unet, (x, *others), _ = recorded
    corner = (x if x.ndim == 4 else x[:, :, :3])[..., :16, :16].contiguous()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work is done sooner by one
    yield unet, (corner, *others)
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_layer_that_went_wrong_is_named(small):
    """Layers of every stage are spoilt, each once, with NaN and infinity in turns, and found."""
    unet, inputs = small
    called = []
    hooks = [module.register_forward_hook(lambda *_, name=name: called.append(name)) for name, module in unet.named_modules()
             if not list(module.children()) and name]
    unet(*inputs)
    for hook in hooks:
        hook.remove()
    # PyTorch's attention for CPUs answers NaN queries and keys with zeros: nothing is left to be found
    layers = [name for name in dict.fromkeys(called) if not name.endswith(("to_q", "to_k", "add_k_proj"))]
    assert len(layers) > 100
    names = chosen([(re.sub(r"\d+", "", name), name) for name in layers])
    assert len(names) > 40
    for number, name in enumerate(names):
        bad = float("inf") if number % 2 else float("nan")
        spoil = unet.get_submodule(name).register_forward_hook(lambda _module, _inputs, out, bad=bad: torch.full_like(out, bad))
        with pytest.raises(NotFinite) as refused:
            check_finite(unet(*inputs), unet, lambda: unet(*inputs))
        spoil.remove()
        assert refused.value.module == name


def test_bad_input_is_not_blamed_on_a_layer(recorded):
    unet, (x, *others), _ = recorded
    bad = x.clone()
    bad[0, 0].fill_(float("nan"))
    assert first_not_finite(unet, lambda: unet(bad, *others)).startswith("the input of conv_in")


class Places(TorchDispatchMode):
    """Notes where in the code each operation is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        frame = sys._getframe(1)
        while frame.f_back and f"{os.sep}show1_core{os.sep}" not in frame.f_code.co_filename:
            frame = frame.f_back
        self.found.append((str(func), frame.f_code.co_filename, frame.f_lineno))
        return func(*args, **kwargs or {})


class Shortage(TorchDispatchMode):
    """Memory runs out after so many operations."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not self.left:
            raise torch.OutOfMemoryError("injected")
        self.left -= 1
        return func(*args, **kwargs or {})


@pytest.mark.slow
def test_memory_that_runs_out_anywhere_is_recovered_from(small):
    """At every place in the code that asks for memory; the result is that of the rung above, within rounding."""
    unet, inputs = small
    with Places() as places:
        expected = unet(*inputs)
    assert len(places.found) > 200
    operations = chosen([(place, number) for number, place in enumerate(places.found)])
    assert len(operations) > 50
    relieved: list[bool] = []
    for left in operations:
        def attempt(rung: Rung, left: int = left) -> torch.Tensor:
            with Shortage(left) if rung is LADDER[0] else nullcontext():
                return unet(*inputs)

        out, number = descend(attempt, 0, lambda: relieved.append(True), "it")
        assert number == 1 and error(out, expected) <= 1e-5
    assert len(relieved) == len(operations)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_each_rung_is_tried_once_from_the_first(failures):
    tried = []

    def attempt(rung: Rung):
        tried.append(rung)
        if len(tried) <= failures:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return torch.zeros(1)

    assert descend(attempt, 0, lambda: None, "9x9")[1] == failures
    assert tuple(tried) == LADDER[: failures + 1]
    assert descend(lambda rung: torch.zeros(1), 2, lambda: None, "it")[1] == 2


@pytest.mark.parametrize("raised", [torch.OutOfMemoryError("all gone"), MemoryError()])
def test_below_the_last_rung_the_shortage_is_told(raised):
    def attempt(rung: Rung):
        raise raised

    with pytest.raises(TooLarge, match="9x9 do not fit"):
        descend(attempt, 0, lambda: None, "9x9")


def test_other_errors_are_no_shortage():
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        descend(lambda rung: (_ for _ in ()).throw(RuntimeError("shapes")), 0, lambda: None, "it")


@pytest.mark.parametrize("rung", LADDER[1:])
def test_every_rung_gives_the_recorded_numbers(recorded, rung):
    unet, inputs, expected = recorded
    with piece_bytes(rung.most and rung.most // 1024):  # the miniatures are small
        assert error(unet(*inputs), expected) <= 1e-5
