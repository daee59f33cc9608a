"""What a text encoder's tensors say about it, so that a file without a config can be loaded."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .checkpoints import UMT5, ForeignFile, foreign
from .weights import CheckpointError


def is_t5(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is a T5 encoder's; a CLIP text encoder's it is otherwise. Raises CheckpointError for neither."""
    if foreign(tensors) == UMT5:
        raise ForeignFile("this file", UMT5, "T5 v1.1, such as t5xxl_fp16.safetensors, or a CLIP text encoder")
    if any(name.startswith("encoder.block.") for name in tensors):
        return True
    if any("text_model." in name or "resblocks." in name for name in tensors):
        return False
    raise ForeignFile("this file", foreign(tensors), "a T5 or a CLIP text encoder")


def t5_numbers(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of a T5 encoder, under the names of its config.json. Raises CheckpointError when it is not whole."""
    attention, feed = "encoder.block.0.layer.0.SelfAttention.", "encoder.block.0.layer.1.DenseReluDense."
    wanted = ["shared.weight", f"{attention}q.weight", f"{attention}relative_attention_bias.weight", f"{feed}wi_0.weight"]
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise CheckpointError(f"the T5 encoder lacks {missing[0]}; expected a T5 v1.1 encoder such as t5xxl_fp16.safetensors.")
    shared, query, bias, inner = (tensors[name] for name in wanted)
    blocks = {int(name.split(".")[2]) for name in tensors if name.startswith("encoder.block.")}
    heads = bias.shape[1]
    return {
        "d_ff": inner.shape[0], "d_kv": query.shape[0] // heads, "d_model": shared.shape[1], "num_heads": heads,
        "num_layers": max(blocks) + 1, "vocab_size": shared.shape[0],
    }
