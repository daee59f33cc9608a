"""The mini's text encoder: a T5 of the published layout, two layers deep, on the standard T5 tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .shapes import BACKGROUNDS, PLAIN, STATED, kinds

TOKENS = 77  # every prompt is padded to this length (numerics 2.1)


@dataclass(frozen=True)
class T5Recipe:
    """Sizes of the encoder; the vocabulary is that of the published T5."""

    d_model: int = 32
    d_ff: int = 96
    d_kv: int = 8
    num_heads: int = 4
    num_layers: int = 2
    vocab_size: int = 32128
    feed_forward_proj: str = "gated-gelu"
    dropout_rate: float = 0.0
    layer_norm_epsilon: float = 1e-6
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128


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


def every_caption() -> list[str]:
    """All captions that training or a judge may use, the empty one first."""
    named = [*kinds(held_out=False), *kinds(held_out=True)]
    spelled = {template.format(**vars(kind)) for kind in named for template in (PLAIN, STATED)}
    if not all(any(name in text for text in spelled) for name in BACKGROUNDS):
        raise ValueError("a background is named by no caption")
    return ["", *sorted(spelled)]


class TextEncoder(nn.Module):
    """T5 encoder: prompts -> states (B, 77, d_model)."""

    def __init__(self, recipe: T5Recipe, tokenizer: Tokenizer, seed: int = 0) -> None:
        super().__init__()
        from transformers import T5EncoderModel

        self.t5 = T5EncoderModel(config_of(recipe)).eval()
        self.tokenizer = tokenizer
        self._known: dict[str, tuple[Tensor, Tensor]] = {}
        self._silence_unused(seed)

    def _silence_unused(self, seed: int) -> None:
        """Zero the embeddings of tokens that no caption has: a word never learnt should say nothing."""
        captions = every_caption()
        ids, masks = self.tokenizer(captions)
        self._known = dict(zip(captions, zip(ids, masks, strict=True), strict=True))
        used = ids.unique()
        table = self.t5.get_input_embeddings().weight
        values = torch.randn((len(used), table.shape[1]), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            table.zero_()
            table[used] = values

    def forward(self, prompts: Sequence[str]) -> Tensor:
        if not all(prompt in self._known for prompt in prompts):
            ids, mask = self.tokenizer(prompts)
        else:
            ids, mask = (torch.stack(rows) for rows in zip(*(self._known[prompt] for prompt in prompts), strict=True))
        return self.t5(input_ids=ids.to(self.t5.device), attention_mask=mask.to(self.t5.device)).last_hidden_state
