"""A CLIP with random weights and a few words, in the folder layout of transformers."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = ["a", "red", "green", "blue", "circle", "square", "moving", "left", "right", "up", "down", "growing", "on", "white"]
LENGTH = 16  # tokens


def write_clip(folder: Path, width: int = 16, side: int = 32, seed: int = 0) -> Path:
    """Write config, weights, tokenizer and preprocessing; the folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    names = ["<unk>", *WORDS, "<start>", "<end>"]
    start, end = len(names) - 2, len(names) - 1
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", start), ("<end>", end)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<start>", eos_token="<end>", pad_token="<end>",
                            unk_token="<unk>", model_max_length=LENGTH).save_pretrained(folder)
    shared = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 2,
              "projection_dim": width, "hidden_act": "quick_gelu"}
    text = {**shared, "vocab_size": len(names), "max_position_embeddings": LENGTH, "bos_token_id": start, "eos_token_id": end,
            "pad_token_id": end}
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(seed)
        config = CLIPConfig(text_config=text, vision_config={**shared, "image_size": side, "patch_size": 8}, projection_dim=width)
        model = CLIPModel(config)
        for parameter in model.parameters():  # as published they are too small for anything to be seen
            parameter.data = torch.randn_like(parameter) * 0.3
        model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}')
    return folder
