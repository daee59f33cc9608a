"""Weights that the host has pinned, as with CUDA it pins what does not fit: a run keeps them, and none is freed while it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import comfy.model_management as mm
import pytest
import torch


@pytest.fixture
def registered(monkeypatch) -> dict[int, int]:
    """Addresses that a stand-in for CUDA has registered, and how many bytes from there."""
    ledger: dict[int, int] = {}

    def register(address: int, size: int, _flags: int) -> int:
        assert address not in ledger
        ledger[address] = size
        return 0

    def unregister(address: int) -> int:
        del ledger[address]
        return 0

    cuda = SimpleNamespace(cudaHostRegister=register, cudaHostUnregister=unregister)
    monkeypatch.setattr(mm, "MAX_PINNED_MEMORY", 2**30)
    monkeypatch.setattr(torch.cuda, "cudart", lambda: cuda)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda *_: False)
    return ledger


@pytest.fixture
def pinned(registered, pack, models) -> Any:
    """A MODEL some of whose weights are pinned, as after a run of which they were left outside the GPU."""
    model = pack("nodes.host").load_model(pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base"), "fp32")
    mm.load_models_gpu([model])
    for name, _ in list(model.model.named_parameters())[::2]:
        model.pin_weight_to_device(name)
    assert registered and set(weights(model)) == set(registered)
    return model


def weights(model: Any) -> list[int]:
    """Where the pinned weights lie."""
    parameters = dict(model.model.named_parameters())
    return [parameters[name].data_ptr() for name in model.pinned]


def test_training_registers_the_weights_that_it_puts_in_place_of_others(pinned, registered, pack) -> None:
    before, names = weights(pinned), set(pinned.pinned)
    with torch.inference_mode(False), pack("nodes.host.training").learning(pinned, torch.Size((1, 3, 2, 8, 8))):
        assert not any(weight.is_inference() for weight in pinned.model.parameters())
        assert pinned.pinned == names and set(weights(pinned)) == set(registered)
        assert set(registered) != set(before), "they are others"
    pinned.unpin_all_weights()
    assert not registered


@pytest.mark.parametrize("sampler", ["published", "euler"])
def test_a_run_leaves_them_pinned(pinned, registered, pack, t5, sampler) -> None:
    """A clone of the MODEL, once it is gone, would take them along."""
    before = dict(registered)
    pack("nodes.keyframes").Show1KeyframeSampler.execute(pinned, *t5, 1, 1, 5.0, 2, 8, 8, sampler, "published")
    assert registered == before and set(weights(pinned)) == set(before)


def test_an_inversion_leaves_them_pinned(pinned, registered, pack, t5) -> None:
    before = dict(registered)
    pack("nodes.host").inverted(pinned, t5[1], torch.zeros(1, 3, 2, 8, 8), 1, lambda *_: None)
    assert registered == before and set(weights(pinned)) == set(before)
