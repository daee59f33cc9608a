"""The host's own trainer on our MODEL: it learns, with checkpointing and without, and what it made is loaded by the host."""

from __future__ import annotations

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")


@pytest.fixture
def fresh(pack, models):
    """A MODEL of its own: the trainer leaves hooks behind."""
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")
    return lambda dtype: pack("nodes.host").load_model(checkpoint, dtype)


@pytest.mark.parametrize("dtype, checkpointing", [
    ("fp32", False), *[pytest.param(*row, marks=pytest.mark.slow) for row in (("fp32", True), ("bf16", False), ("bf16", True))]])
def test_the_core_trainer_trains_the_keyframe_model(pack, fresh, t5, dtype, checkpointing):
    from comfy_extras.nodes_train import LoraModelLoader, TrainLoraNode

    model = fresh(dtype)
    generator = torch.Generator().manual_seed(0)  # two clips, for the host of today falls over a single one
    # four frames: of two, PyTorch's weight gradient of a 3-D convolution in bfloat16 is NaN on CPUs with AVX512-BF16
    latents = [{"samples": torch.rand(1, 3, 4, 8, 8, generator=generator) * 2 - 1} for _ in range(2)]
    with torch.inference_mode(False):
        made = TrainLoraNode.execute(
            model=[model], latents=latents, positive=[t5[0]], batch_size=[1], steps=[2], grad_accumulation_steps=[1],
            learning_rate=[1e-3], rank=[4], optimizer=["AdamW"], loss_function=["MSE"], seed=[0], training_dtype=[dtype],
            lora_dtype=["fp32"], algorithm=["LoRA"], gradient_checkpointing=[checkpointing], existing_lora=["[None]"]).args
    _, lora, losses, steps = made
    assert steps == 2 and len(losses["loss"]) == 2 and all(torch.isfinite(torch.tensor(losses["loss"])))
    assert any("temp_attentions" in name for name in lora) and any("temp_convs" in name for name in lora)
    draw = pack("nodes.keyframes").Show1KeyframeSampler.execute
    plain = draw(fresh(dtype), *t5, 1, 2, 5.0, 2, 8, 8, *PUBLISHED).args[0]
    tuned = LoraModelLoader.execute(fresh(dtype), lora, 1.0).args[0]
    assert error(draw(tuned, *t5, 1, 2, 5.0, 2, 8, 8, *PUBLISHED).args[0], plain) > 1e-6
    off = LoraModelLoader.execute(fresh(dtype), lora, 0.0).args[0]
    assert torch.equal(draw(off, *t5, 1, 2, 5.0, 2, 8, 8, *PUBLISHED).args[0], plain)
