"""LoRAs from files, as what a training gives."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from ...show1_core.tuning.lora_files import check_fits, different_base, fingerprint, in_native_names, read, with_record
from .on_node import on_node


def load_lora(path: Path, model: Any = None) -> dict[str, Tensor]:
    """A LoRA under the names that the host's loaders know, with its record among the tensors.

    Where a MODEL of ours is given, a LoRA that does not fit it is refused, and one of another base is warned of in the log and
    on the node. Raises ValueError or CheckpointError in one sentence.
    """
    tensors, record = read(path)
    tensors = in_native_names(tensors)
    if model is not None:
        unet = model.model.diffusion_model
        check_fits(tensors, unet)  # norms and biases too, which the host puts on as it does the rest
        if sentence := different_base(record, fingerprint(model.model.show1, unet)):
            logging.warning("Show-1: %s", sentence)
            on_node([sentence])
    return with_record(tensors, record) if record.base else tensors
