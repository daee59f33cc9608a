"""The mini's text encoder: a T5 of the published layout, two layers deep, on the standard T5 tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .grammar import every_phrase

TOKENS = 77  # every prompt is padded to this length (numerics 2.1)


@dataclass(frozen=True)
class T5Recipe:
    """Sizes of the encoder; the vocabulary is that of the published T5."""

    d_model: int = 64
    d_ff: int = 128
    d_kv: int = 16
    num_heads: int = 4
    num_layers: int = 2
    vocab_size: int = 32128
    feed_forward_proj: str = "gated-gelu"
    dropout_rate: float = 0.0
    layer_norm_epsilon: float = 1e-6
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128


def text_recipe(folder: Path) -> T5Recipe:
    """The sizes that an exported encoder has."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return T5Recipe(**{field.name: config[field.name] for field in fields(T5Recipe)})


class Tokenizer:
    """Prompts as padded token ids, exactly as inference makes them: lower case, stripped, 77 tokens, with a mask."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(str(folder))

    def __call__(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """ids and mask, (B, 77) each."""
        texts = [prompt.lower().strip() for prompt in prompts]
        found = self._tokenizer(
            texts, padding="max_length", max_length=TOKENS, truncation=True, add_special_tokens=True, return_tensors="pt"
        )
        return found.input_ids, found.attention_mask


def config_of(recipe: T5Recipe) -> Any:
    """The transformers config, as it is saved beside the weights."""
    from transformers import T5Config

    roles: dict[str, Any] = {"is_encoder_decoder": True, "tie_word_embeddings": False, "decoder_start_token_id": 0}
    return T5Config(**asdict(recipe), **roles)


class TextEncoder(nn.Module):
    """T5 encoder: prompts -> states (B, 77, d_model)."""

    def __init__(self, recipe: T5Recipe, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__()
        from transformers import T5EncoderModel

        self.t5 = T5EncoderModel(config_of(recipe)).eval()
        self.tokenizer = tokenizer
        self._known: dict[str, tuple[Tensor, Tensor]] = {}
        self._start(seed)

    @torch.no_grad()
    def _start(self, seed: int) -> None:
        """Word vectors at random for the words of the small world, zero for all others: a word never learnt says nothing.

        Padding is zero too, so its states begin as the mean of what the words say. They are most of the 77 states, and the
        UNet's pooled text their mean: from the first step on it hears every word, not the padding.
        """
        ids, masks = self.tokenizer(every_phrase())
        used = ids[masks.bool()].unique()
        table = self.t5.get_input_embeddings().weight
        table.zero_()
        table[used] = torch.randn((len(used), table.shape[1]), generator=torch.Generator().manual_seed(seed))

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return self.t5.config.d_model

    def _tokens(self, prompt: str) -> tuple[Tensor, Tensor]:
        """ids and mask (77,) of a prompt; the same sentences come again and again."""
        if prompt not in self._known:
            ids, mask = self.tokenizer([prompt])
            self._known[prompt] = (ids[0], mask[0])
        return self._known[prompt]

    def length(self, prompt: str) -> int:
        """Tokens of a prompt, without the end."""
        return int(self._tokens(prompt)[1].sum()) - 1

    def forward(self, prompts: Sequence[str]) -> Tensor:
        ids, mask = (torch.stack(rows).to(self.t5.device) for rows in zip(*map(self._tokens, prompts), strict=True))
        return self.t5(input_ids=ids, attention_mask=mask).last_hidden_state
