"""Text encoders as the host's CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.genmo
import comfy.text_encoders.sd2_clip
import comfy.text_encoders.sd3_clip
import comfy.utils
import folder_paths
import torch
from comfy import sd1_clip
from torch import Tensor

from ...show1_core.prompt_travel import TextOverTime
from ...show1_core.text_encoders import is_t5, t5_numbers
from ...show1_core.weights import last_line
from .loading import cancellable
from .text_over_time import TEXT

EMBEDDINGS = "embeddings"  # the host's name for the folders of what `embedding:name` in a prompt stands for
PROMPT = "show1_prompt"  # in CONDITIONING: what was encoded


def load_text(tensors: dict[str, Tensor], config: dict[str, Any] | None) -> Any:
    """A CLIP of a text encoder: T5 with its attention mask on (numerics T9), or the CLIP of the latent stage.

    `config` is a published config.json; a CLIP without one is what the host recognises. Raises ValueError when weights
    are missing, or are no text encoder's.
    """
    if is_t5(tensors):
        target = comfy.supported_models_base.ClipTarget(
            comfy.text_encoders.genmo.MochiT5Tokenizer,
            comfy.text_encoders.genmo.mochi_te(**comfy.text_encoders.sd3_clip.t5_xxl_detect(tensors)))
        return load_clip(target, tensors, {"t5xxl_model_config": t5_numbers(tensors)})
    if config is None:
        return comfy.sd.load_text_encoder_state_dicts(
            [dict(tensors)], embedding_directory=folder_paths.get_folder_paths(EMBEDDINGS),
            clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)
    # all its layers, then the final norm, padded with token 0 (numerics 1.6)
    encoder = partial(sd1_clip.SDClipModel, layer="last", textmodel_json_config=config,
                      special_tokens={"start": 49406, "end": 49407, "pad": 0})
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.sd2_clip.SD2Tokenizer, comfy.text_encoders.sd2_clip.SD2ClipModel)
    projection = {"text_projection.weight": torch.eye(config["hidden_size"])}
    return load_clip(target, {**projection, **tensors}, {"clip_h_class": encoder})


def load_clip(target: Any, tensors: dict[str, Tensor], options: dict[str, Any]) -> Any:
    """The host's CLIP object around an encoder. Raises ValueError when weights are missing or do not fit."""
    clip = comfy.sd.CLIP(target, embedding_directory=folder_paths.get_folder_paths(EMBEDDINGS),
                         parameters=comfy.utils.calculate_parameters(tensors), model_options=options)
    try:
        with cancellable(clip.cond_stage_model):
            missing, _ = clip.load_sd(tensors)
    except RuntimeError as error:
        raise ValueError(f"the text encoder does not fit its sizes ({last_line(error)}); download it again.") from error
    if missing:
        raise ValueError(f"the text encoder lacks {len(missing)} tensors (such as {missing[0]}); download it again.")
    return clip


def masked_t5(clip: Any) -> Any:
    """The T5 tokenizer inside a CLIP whose encoder uses the attention mask; None for every other CLIP."""
    encoder = getattr(clip.cond_stage_model, "t5xxl", None)
    tokenizer = getattr(clip.tokenizer, "clip_t5xxl", None)
    return tokenizer.tokenizer if tokenizer is not None and getattr(encoder, "enable_attention_masks", False) else None


def encode_t5(clip: Any, ids: list[int], prompt: str = "") -> Any:
    """CONDITIONING of T5 token ids, padding included; with it go the prompt that they are of, and hooks set on the CLIP."""
    encoded = clip.encode_from_tokens({"t5xxl": [[(token, 1.0) for token in ids]]}, return_dict=True)
    hooks = {"hooks": encoded["hooks"]} if "hooks" in encoded else {}
    return [[encoded["cond"], {PROMPT: prompt, **hooks}]]


def over_time(texts: Sequence[Any], starts: Sequence[int]) -> Any:
    """CONDITIONING whose text changes: of each of several, and the keyframes from which on they hold.

    Whoever does not know of it, such as the core's nodes, sees the first text.
    """
    (first, values), = texts[0]
    states = torch.cat([text[0][0] for text in texts])
    return [[first, {**values, TEXT: TextOverTime(states, tuple(starts))}]]
