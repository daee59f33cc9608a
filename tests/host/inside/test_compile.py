"""Compiled: the loader's own way gives the same numbers, and the core node's way does no harm."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from recording import error

PACK = Path(__file__).resolve().parents[3]
PUBLISHED = ("published", "published")
needs_compiler = pytest.mark.skipif(not (shutil.which("g++", path="/usr/bin:/bin") or shutil.which("clang++")),
                                    reason="there is no C++ compiler")


@pytest.fixture
def keyframes(pack, t5):
    return lambda model: pack("nodes.keyframes").Show1KeyframeSampler.execute(
        model, *t5, 1, 2, 5.0, 2, 8, 8, *PUBLISHED).args[0]


@pytest.mark.slow
@needs_compiler
def test_compiled_blocks_give_the_same_numbers(pack, vae, monkeypatch):
    """With the mini, whose network is the smallest there is."""
    import torch
    import torch._dynamo

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    torch._dynamo.utils.counters.clear()
    checkpoint, host = pack("show1_core.checkpoints").read_checkpoint(PACK / "models/show1-mini/sr2"), pack("nodes.host")
    texts = torch.randn(2, 1, 9, checkpoint.identity.config.text_dim, generator=torch.Generator().manual_seed(0))
    images = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    plain, compiled = (host.load_model(checkpoint, "fp32") for _ in range(2))
    host.compile_blocks(compiled)
    expected, found = (pack("nodes.latent_sr").Show1LatentSR.execute(
        model, vae, [[texts[0], {}]], [[texts[1], {}]], images, 1, 2, 4.0, 1.0, 64, 64, *PUBLISHED).args[0]
        for model in (plain, compiled))
    assert error(found, expected) <= 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 5, "hardly anything was compiled"


def test_a_cancel_stops_before_the_next_level_is_compiled(pack, models, keyframes, monkeypatch):
    import comfy.model_management as mm
    import torch._dynamo

    monkeypatch.setattr(shutil, "which", lambda name, **_: name)
    host = pack("nodes.host")
    model = host.load_model(pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base"), "fp32")
    host.compile_blocks(model)
    torch._dynamo.utils.counters.clear()
    model.model.diffusion_model.conv_in.register_forward_hook(lambda *_: mm.interrupt_current_processing(True))
    with pytest.raises(mm.InterruptProcessingException):
        keyframes(model)
    mm.interrupt_current_processing(False)
    assert not torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_without_a_compiler_the_choice_is_refused(pack, models, monkeypatch):
    host = pack("nodes.host")
    model = host.load_model(pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base"), "fp32")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ValueError, match="there is no C.. compiler; install it or set compile to off"):
        host.compile_blocks(model)


def test_the_core_compile_node_says_that_it_does_nothing(load, keyframes, caplog):
    """It compiles a network as a whole, which ours does not let itself be; the run is the plain one."""
    import torch
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    model = load("show-1-base")
    with caplog.at_level(logging.WARNING):
        plain = keyframes(model)
        assert not [said for said in caplog.messages if "Compile" in said]
        assert torch.equal(keyframes(TorchCompileModel.execute(model, "inductor").args[0]), plain)
    said, = (said for said in caplog.messages if said.startswith("Show-1"))
    assert "TorchCompileModel does nothing for this model" in said and "set compile to blocks in Show-1 Model Loader" in said


@pytest.mark.parametrize("hooked", [True, False])
def test_texts_under_hooks_keep_calls_plain(pack, load, t5, monkeypatch, hooked):
    """They have no memory of a run, so every call makes its text anew, which a whole call would hold on to."""
    import comfy.hooks

    network, found, model = pack("nodes.host.network"), [], load("show-1-base")
    seen = network.obstacle

    def on_a_gpu(_on_gpu, *others):
        found.append(seen(True, *others))
        return "this is a test"

    monkeypatch.setattr(network, "obstacle", on_a_gpu)
    monkeypatch.setattr(model.model.diffusion_model, "ways", {"never": lambda *_: pytest.fail("there is an obstacle")})
    hooks = comfy.hooks.create_hook_lora({}, 1.0, 0.0) if hooked else None
    texts = (comfy.hooks.set_hooks_for_conditioning(text, hooks) for text in t5)
    pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *texts, 1, 2, 5.0, 2, 8, 8, *PUBLISHED)
    assert set(found) == {"hooks change the network from call to call" if hooked else None}


@pytest.mark.parametrize("newer", [True, False])
def test_the_limit_of_shapes_has_the_name_this_torch_knows(pack, newer):
    import torch
    import torch._dynamo

    compiling = pack("show1_core.models.compile")
    config = type("Config", (), {"cache_size_limit": 8, **({"recompile_limit": 8} if newer else {})})()
    assert compiling.limit_name(config) == ("recompile_limit" if newer else "cache_size_limit")
    with compiling.many_shapes():
        assert torch._dynamo.config.cache_size_limit == compiling.SHAPES
