"""bf16 on CPUs: computed in where the CPU can and the user asks for it; elsewhere said."""

from __future__ import annotations

import logging

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")


@pytest.fixture
def loaded(pack, models, monkeypatch, caplog):
    """A miniature on a CPU that has bf16 or not, and what was said."""
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")

    def load(dtype: str, has_bf16: bool = False):
        monkeypatch.setattr(pack("nodes.host.dtypes"), "cpu_has_bf16", lambda: has_bf16)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            return pack("nodes.host").load_model(checkpoint, dtype), [said for said in caplog.messages if "bf16" in said]
    return load


@pytest.mark.parametrize("dtype, has_bf16, kept, computed", [
    ("auto", True, torch.float32, torch.float32),
    ("bf16", True, torch.bfloat16, torch.bfloat16),
    ("bf16", False, torch.bfloat16, torch.float32),
    ("fp16", True, torch.float16, torch.float32),
])
def test_what_a_cpu_computes_in(pack, loaded, t5, dtype, has_bf16, kept, computed) -> None:
    model, said = loaded(dtype, has_bf16)
    assert next(iter(model.model.diffusion_model.parameters())).dtype == kept
    assert pack("nodes.host.dtypes").compute_dtype(model) == computed
    assert ["this CPU has no instructions" in sentence for sentence in said] == [True] * (dtype == "bf16" and not has_bf16)
    seen = set()
    model.model.diffusion_model.mid_block.resnets[0].register_forward_hook(lambda _, __, out: seen.add(out.dtype))
    frames, expected = (pack("nodes.keyframes").Show1KeyframeSampler.execute(one, *t5, 1, 3, 5.0, 2, 8, 8, *PUBLISHED).args[0]
                        for one in (model, loaded("fp32")[0]))
    assert seen == {computed} and error(frames, expected) < 0.1
