"""Short memory and values that are no numbers, at every place of every network."""

from __future__ import annotations

import os

import pytest
import torch
from recording import error
from torch.utils._python_dispatch import TorchDispatchMode

from show1_core.models.pieces import piece_bytes
from show1_core.models.rescue import LADDER, NotFinite, Rung, TooLarge, check_finite, descend, first_not_finite, is_out_of_memory

# Every so many layers, and every ten times as many operations, are tried; 1 takes hours.
EVERY = int(os.environ.get("SHOW1_SWEEP", "30"))


@pytest.mark.slow
@pytest.mark.parametrize("bad, first", [(float("nan"), 0), (float("inf"), 3)])
def test_the_layer_that_went_wrong_is_named(recorded, bad, first):
    """Layers of every stage are spoilt, each once, and found."""
    unet, inputs, _ = recorded
    called = []
    hooks = [module.register_forward_hook(lambda *_, name=name: called.append(name)) for name, module in unet.named_modules()
             if not list(module.children()) and name]
    unet(*inputs)
    for hook in hooks:
        hook.remove()
    # PyTorch's attention for CPUs answers queries and keys that are no numbers with zeros: nothing is left to be found
    layers = [name for name in dict.fromkeys(called) if not name.endswith(("to_q", "to_k", "add_k_proj"))]
    assert len(layers) > 100
    for name in layers[first * EVERY // 10::EVERY]:
        spoil = unet.get_submodule(name).register_forward_hook(lambda _module, _inputs, out: torch.full_like(out, bad))
        with pytest.raises(NotFinite) as refused:
            check_finite(unet(*inputs), unet, lambda: unet(*inputs))
        spoil.remove()
        assert refused.value.module == name


def test_bad_input_is_not_blamed_on_a_layer(recorded):
    unet, (x, *others), _ = recorded
    bad = x.clone()
    bad[0, 0].fill_(float("nan"))
    assert first_not_finite(unet, lambda: unet(bad, *others)).startswith("the input of conv_in")


class Shortage(TorchDispatchMode):
    """Memory runs out at operation number `at`, once; counts the operations."""

    def __init__(self, at: int = -1) -> None:
        super().__init__()
        self.at, self.count = at, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        if self.count == self.at:
            raise torch.OutOfMemoryError("injected")
        return func(*args, **kwargs or {})


@pytest.mark.slow
def test_memory_that_runs_out_anywhere_is_recovered_from(recorded):
    """At operations of every stage; the result is that of the rung below, within rounding."""
    unet, inputs, expected = recorded
    with Shortage() as whole:
        unet(*inputs)
    assert whole.count > 200
    relieved: list[bool] = []

    def relief() -> None:
        relieved.append(True)

    for at in range(1, whole.count + 1, 10 * EVERY):
        with Shortage(at):
            out, number = descend(lambda rung: unet(*inputs), 0, relief, "it")
        assert number == 1 and error(out, expected) <= 1e-5
    assert len(relieved) == len(range(1, whole.count + 1, 10 * EVERY))


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
