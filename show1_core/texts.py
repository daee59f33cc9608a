"""Prompts as text states, without a host: T5 and CLIP by transformers, from published folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .captions import PAD, TOKENS, fit, preprocess
from .weights import CheckpointError, find_transformers_weights, read_json, read_tensors


def encode_t5(folder: Path, tokenizer: Path, prompts: Sequence[str], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """States (P, 77, D) of the pixel stages' prompts, by a T5 encoder folder and a tokenizer folder (numerics 2.1).

    Raises CheckpointError for a folder that is not whole.
    """
    tokens = load_tokenizer(tokenizer)
    ids = [tokens(preprocess(prompt, clean=False))["input_ids"] for prompt in prompts]
    fitted = torch.tensor([fit(row) for row in ids], device=device)
    lengths = torch.tensor([min(len(row), TOKENS) for row in ids], device=device)
    mask = (torch.arange(TOKENS, device=device) < lengths[:, None]).long()
    encoder = load_t5(folder, dtype, device)
    with torch.no_grad():
        return encoder(input_ids=fitted, attention_mask=mask).last_hidden_state


def encode_clip(folder: Path, tokenizer: Path, prompts: Sequence[str], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """States (P, 77, D) of the latent stage's prompts: all layers, the final norm, padded with token 0 (numerics 1.6)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    tokens = load_tokenizer(tokenizer)
    ids = [tokens(prompt, truncation=True, max_length=TOKENS)["input_ids"] for prompt in prompts]
    fitted = torch.tensor([row + [PAD] * (TOKENS - len(row)) for row in ids], device=device)
    config = CLIPTextConfig(**read_json(folder / "config.json"))
    encoder = filled(CLIPTextModel, config, folder).to(device, dtype)
    with torch.no_grad():
        return encoder(input_ids=fitted).last_hidden_state


def load_t5(folder: Path, dtype: torch.dtype, device: torch.device | str) -> Any:
    """T5's encoder; the projections out of its feed-forwards stay in float32, as published (numerics T8)."""
    from transformers import T5Config, T5EncoderModel

    encoder = filled(T5EncoderModel, T5Config(**read_json(folder / "config.json")), folder)
    for name, weight in encoder.named_parameters():  # one by one: a cast of the whole and back would round all of them
        weight.data = weight.data.to(device, torch.float32 if name.endswith("DenseReluDense.wo.weight") else dtype)
    return encoder


def filled(kind: Any, config: Any, folder: Path) -> Any:
    """A transformers model with the weights of its folder, in evaluation mode. Raises CheckpointError when some are missing."""
    tensors = read_tensors(find_transformers_weights(folder))  # transformers would open pickles itself
    model, told = kind.from_pretrained(None, config=config, state_dict=tensors, output_loading_info=True)
    if missing := sorted(told["missing_keys"]):
        raise CheckpointError(f"{folder} lacks {len(missing)} tensors (such as {missing[0]}); download it again.")
    return model.eval().requires_grad_(False)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, from its files alone. Raises CheckpointError when there is none."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in ("tokenizer.json", "spiece.model", "vocab.json")):
        raise CheckpointError(f"{folder} holds no tokenizer; expected tokenizer.json, spiece.model or vocab.json, as in the "
                              "tokenizer/ folder of a published checkpoint.")
    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
