"""CLIP of any size from a folder in the layout of transformers: frames and prompts as unit vectors of one space."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..library import config_in, folders_where
from ..weights import read_json
from .networks import WEIGHTS, MissingNetwork, load_folder, unreadable
from .scores import unit

TOKENIZERS = ("tokenizer.json", "merges.txt")
BATCH = 32  # frames at once
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def clip_folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Folders that hold a whole CLIP, text and pictures, by their names below the roots."""
    return folders_where(roots, is_clip)


def is_clip(folder: Path) -> bool:
    """Whether a folder has a CLIP's config.json, weights, and a tokenizer, which transformers would else make up."""
    return (any((folder / name).is_file() for name in TOKENIZERS) and any(file.suffix in WEIGHTS for file in folder.iterdir())
            and config_in(folder).get("model_type") == "clip")


class ClipScorer:
    """A CLIP and its own sizes. Frames are (F, H, W, 3) in 0..1, whatever their size."""

    def __init__(self, model: Any, tokenizer: Any, preprocessing: dict[str, Any]) -> None:
        self.network: nn.Module = model.eval().requires_grad_(False)
        self.side: int = model.config.vision_config.image_size
        self._model, self._tokenizer = model, tokenizer
        self._length: int = model.config.text_config.max_position_embeddings
        self._fit = fit_of(preprocessing)
        self._mean = torch.tensor(preprocessing.get("image_mean", OPENAI_MEAN))
        self._std = torch.tensor(preprocessing.get("image_std", OPENAI_STD))

    @classmethod
    def from_folder(cls, folder: Path) -> ClipScorer:
        """Read config.json, weights, tokenizer and preprocessor_config.json, from this folder alone. Raises MissingNetwork."""
        from transformers import AutoTokenizer, CLIPModel

        if not is_clip(folder):
            raise MissingNetwork(f"{folder} is no whole CLIP; expected config.json with model_type clip, its weights and its "
                                 "tokenizer, as openai/clip-vit-base-patch32 is published.")
        model = load_folder(CLIPModel, folder, "CLIP")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise MissingNetwork(unreadable(folder, "CLIP", error)) from error
        beside = folder / "preprocessor_config.json"
        return cls(model, tokenizer, read_json(beside) if beside.is_file() else {})

    def frames(self, frames: Tensor) -> Tensor:
        """The unit vector of every frame, (F, D) float64 on the CPU."""
        device = next(self.network.parameters()).device
        parts = [self._image_features(self.prepared(part.to(device))) for part in frames.split(BATCH)]
        return unit(torch.cat(parts).cpu())

    def texts(self, prompts: list[str]) -> Tensor:
        """The unit vector of every prompt, (N, D) float64 on the CPU; a prompt is cut at the text encoder's length."""
        device = next(self.network.parameters()).device
        tokens = self._tokenizer(prompts, padding=True, truncation=True, max_length=self._length, return_tensors="pt").to(device)
        with torch.no_grad():
            pooled = self._model.text_model(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
            return unit(self._model.text_projection(pooled).cpu())

    def in_pieces(self, prompt: str) -> list[str]:
        """The prompt's words of which the tokenizer makes several tokens, each once; CLIPs of few words know no others."""
        words = dict.fromkeys(re.findall(r"\w+", prompt.lower()))
        return [word for word in words if len(self._tokenizer(word, add_special_tokens=False)["input_ids"]) > 1]

    def prepared(self, frames: Tensor) -> Tensor:
        """Frames as this CLIP was trained on them, (F, 3, S, S)."""
        return normalised(self._fit(frames, self.side), self._mean, self._std)

    def _image_features(self, pixels: Tensor) -> Tensor:
        with torch.no_grad():
            return self._model.visual_projection(self._model.vision_model(pixel_values=pixels).pooler_output)


def fit_of(preprocessing: dict[str, Any]) -> Callable[[Tensor, int], Tensor]:
    """How frames become squares: cut as for the published CLIPs, unless a preprocessor_config.json gives a height and a width."""
    size = preprocessing.get("size")
    return squeezed if isinstance(size, dict) and {"height", "width"} <= size.keys() else cut


def prepared(frames: Tensor, side: int, mean: Tensor, std: Tensor) -> Tensor:
    """Frames (F, H, W, 3) in 0..1 as CLIP was trained on them, (F, 3, S, S)."""
    return normalised(cut(frames, side), mean, std)


def cut(frames: Tensor, side: int) -> Tensor:
    """Frames (F, H, W, 3) in 0..1 -> (F, 3, S, S): the shorter side to S, and the middle of the longer one."""
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    pixels = resized(frames, (max(side, int(height * scale)), max(side, int(width * scale))))
    top, left = ((whole - side) // 2 for whole in pixels.shape[-2:])
    return pixels[..., top:top + side, left:left + side]


def squeezed(frames: Tensor, side: int) -> Tensor:
    """Frames (F, H, W, 3) in 0..1 -> (F, 3, S, S): all of them, whatever their shape."""
    return resized(frames, (side, side))


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (F, H, W, 3) in 0..1 -> (F, 3, *size), bicubic."""
    pixels = frames.float().clamp(0, 1).permute(0, 3, 1, 2)
    if size == pixels.shape[-2:]:
        return pixels
    return F.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False)


def normalised(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Pixels (F, 3, S, S), about 0..1, on 8 bits, and then less the mean of their colours in units of the spread."""
    levels = pixels.clamp(0, 1).mul(255).round().div(255)
    return (levels - mean.to(levels.device).view(3, 1, 1)) / std.to(levels.device).view(3, 1, 1)
