"""NaN or infinity in every kind of layer of every network."""

from __future__ import annotations

import re

import pytest
import torch
from recording import chosen
from torch import Tensor, nn
from torch.nn import GroupNorm

from show1_core.kernels import Backend, Function, Selection, chosen_by
from show1_core.models.finite import NotFinite, check_finite, first_not_finite


@pytest.mark.slow
def test_the_layer_that_went_wrong_is_named(small, known):
    """A layer of every kind that the stages have is spoilt, with NaN and infinity in turns, and found."""
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
    names = chosen([(re.sub(r"\d+", "", name), name) for name in layers], known)
    assert len(known) > 40
    for number, name in enumerate(names):
        bad = float("inf") if number % 2 else float("nan")
        spoil = unet.get_submodule(name).register_forward_hook(lambda _module, _inputs, out, bad=bad: torch.full_like(out, bad))
        with pytest.raises(NotFinite) as refused:
            check_finite(unet(*inputs), unet, lambda: unet(*inputs))
        spoil.remove()
        assert refused.value.module == name


def around(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """What a layer does, without calling it: no hook learns of it."""
    return nn.functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


class Network(nn.Module):
    """A norm that is NaN, by a kernel or as a layer."""

    function = Function("f", ("x", "norm"), (Backend("triton", around, sure=True), Backend("eager", lambda x, norm: norm(x))))

    def __init__(self) -> None:
        super().__init__()
        self.norm = GroupNorm(1, 4)
        self.norm.weight.fill_(float("nan"))

    def forward(self, x: Tensor, by_kernel: bool) -> Tensor:
        return self.function(x, self.norm) if by_kernel else self.norm(x)


@pytest.mark.parametrize("by_kernel", [True, False], ids=["served by a kernel", "compiled"])
def test_a_layer_that_was_gone_around_is_named(by_kernel):
    network, x = Network(), torch.randn(2, 4, 3)
    if not by_kernel:
        network.norm._compiled_call_impl = lambda x: around(x, network.norm)
    with chosen_by(Selection()), pytest.raises(NotFinite) as refused:
        check_finite(network(x, by_kernel), network, lambda: network(x, by_kernel))
    assert refused.value.module == "norm"
    assert by_kernel or network.norm._compiled_call_impl is not None


def test_bad_input_is_not_blamed_on_a_layer(recorded):
    unet, (x, *others), _ = recorded
    bad = x.clone()
    bad[0, 0].fill_(float("nan"))
    assert first_not_finite(unet, lambda: unet(bad, *others)).startswith("the input of conv_in")
