"""Checkers of pictures that others published: the one of Stable Diffusion, and the one of DeepFloyd IF.

Each is CLIP's vision half with a head. A score says how far above its published border a picture lies, so that 0 is the
border for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .evaluation.clip import BATCH, OPENAI_MEAN, OPENAI_STD, prepared
from .library import config_in, folders_where
from .weights import CheckpointError, find_transformers_weights, read_json, read_tensors

ARCHITECTURES = ("StableDiffusionSafetyChecker", "IFSafetyChecker")  # what a folder's config.json says
NEAR_SPECIAL = 0.01  # by which a picture near one of the special concepts counts as nearer to all others
IF_BORDER = 0.5  # of both heads' logits
BLURRED = 6  # blocks along the shorter side of a blurred picture


class StableDiffusionHead(nn.Module):
    """Cosines with concepts, each above a border of its own; three special ones lower the borders of those after them."""

    concept_embeds: Tensor
    special_care_embeds: Tensor
    concept_embeds_weights: Tensor
    special_care_embeds_weights: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name in ("concept_embeds", "special_care_embeds", "concept_embeds_weights", "special_care_embeds_weights"):
            self.register_buffer(name, tensors[name].float())

    def forward(self, embeds: Tensor) -> dict[str, Tensor]:
        """Embeddings (N, D) -> scores (N,) by name, in steps of 0.001 as published."""
        concepts, special = (cosine(embeds, known) for known in (self.concept_embeds, self.special_care_embeds))
        nearer = torch.zeros_like(embeds[:, 0])
        for column, border in zip(special.T, self.special_care_embeds_weights, strict=True):
            nearer = torch.where(rounded(column - border + nearer) > 0, NEAR_SPECIAL, nearer)
        return {"nsfw": rounded(concepts - self.concept_embeds_weights + nearer[:, None]).amax(dim=1)}


class DeepFloydHead(nn.Module):
    """A logit for what is not safe for work, and one for watermarks."""

    p_head_weight: Tensor
    p_head_bias: Tensor
    w_head_weight: Tensor
    w_head_bias: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for head in ("p_head", "w_head"):
            for part in ("weight", "bias"):
                self.register_buffer(f"{head}_{part}", tensors[f"{head}.{part}"].float())

    def forward(self, embeds: Tensor) -> dict[str, Tensor]:
        """Embeddings (N, D) -> scores (N,) by name."""
        return {"nsfw": F.linear(embeds, self.p_head_weight, self.p_head_bias)[:, 0] - IF_BORDER,
                "watermark": F.linear(embeds, self.w_head_weight, self.w_head_bias)[:, 0] - IF_BORDER}


@dataclass(frozen=True)
class Look:
    """How a picture is prepared: pixels of a side, mean and spread of the colours."""

    side: int
    mean: Tensor
    std: Tensor


class Checker(nn.Module):
    """A checker with its head."""

    def __init__(self, vision: nn.Module, head: nn.Module, look: Look) -> None:
        super().__init__()
        self.vision, self.head, self.look = vision, head, look

    def scores(self, frames: Tensor, progress: Callable[[int], object] = lambda done: None) -> dict[str, Tensor]:
        """Frames (N, H, W, 3) in 0..1 -> scores (N,) on the CPU by name, above 0 where the published border is passed.

        `progress` is told how many frames are done, some at a time.
        """
        device, found = next(self.vision.parameters()).device, []
        with torch.no_grad():
            for part in frames.split(BATCH):
                pixels = prepared(part.to(device), self.look.side, self.look.mean, self.look.std)
                found.append(self.head(self.vision(pixel_values=pixels).image_embeds))
                progress(min(len(found) * BATCH, len(frames)))
        return {name: torch.cat([part[name].cpu() for part in found]) for name in found[0]}


def cosine(embeds: Tensor, known: Tensor) -> Tensor:
    """(N, D), (K, D) -> (N, K)"""
    return F.normalize(embeds) @ F.normalize(known).T


def rounded(scores: Tensor) -> Tensor:
    return scores.round(decimals=3)


def checker_folders(roots: Iterable[Path]) -> dict[str, Path]:
    """Folders that hold a checker in the layout of diffusers, by their names below the roots."""
    return folders_where(roots, lambda folder: architecture(config_in(folder)) is not None)


def architecture(config: Mapping[str, Any]) -> str | None:
    return next((name for name in config.get("architectures") or () if name in ARCHITECTURES), None)


def read_checker(folder: Path) -> Checker:
    """The checker of a folder in the layout of diffusers, from this folder alone. Raises CheckpointError in one sentence."""
    config = read_json(folder / "config.json")
    kind = architecture(config)
    if kind is None:
        raise CheckpointError(f"{folder} is no safety checker; expected a config.json that names {' or '.join(ARCHITECTURES)}.")
    tensors = read_tensors(find_transformers_weights(folder))
    try:
        head = StableDiffusionHead(tensors) if kind == ARCHITECTURES[0] else DeepFloydHead(tensors)
        vision = read_vision(config["vision_config"], tensors)
    except KeyError as error:
        raise CheckpointError(f"the safety checker in {folder} lacks {error}; download the whole folder again.") from error
    return Checker(vision, head, look_of(folder, vision.config.image_size)).eval().requires_grad_(False)


def read_vision(numbers: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """CLIP's vision half with its projection. Raises KeyError for a tensor that is missing.

    The published names have `vision_model.` once or twice in front; how often it stands in the network's own depends on
    the version of transformers.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    given = {bare(name): tensor for name, tensor in tensors.items()}
    width = given["visual_projection.weight"].shape[0]
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**{**numbers, "projection_dim": width}))
    network.load_state_dict({name: given[bare(name)].float() for name in network.state_dict()})
    return network


def bare(name: str) -> str:
    return name.replace("vision_model.", "")


def look_of(folder: Path, side: int) -> Look:
    """How pictures are prepared, as a preprocessor_config.json in the folder or beside it says, else as CLIP's are."""
    beside = (folder / "preprocessor_config.json", folder.parent / "feature_extractor" / "preprocessor_config.json")
    said = next((read_json(file) for file in beside if file.is_file()), {})
    return Look(side, torch.tensor(said.get("image_mean", OPENAI_MEAN)), torch.tensor(said.get("image_std", OPENAI_STD)))


def checked_frames(count: int, every: int) -> list[int]:
    """Which of so many frames are looked at: every n-th from the first, and the last."""
    return sorted({*range(0, count, every), count - 1})


def spread(flags: Tensor, looked_at: list[int], count: int) -> Tensor:
    """Flags of the frames looked at (N,), for all frames (count,): what lies between two is flagged when one of them is."""
    every, places = torch.zeros(count, dtype=torch.bool), torch.tensor(looked_at)
    every[places] = flags
    for start, stop in zip(looked_at, looked_at[1:]):
        every[start + 1:stop] = every[start] | every[stop]
    return every


def blurred(frames: Tensor) -> Tensor:
    """Frames (N, H, W, 3) of which only large patches of colour are left."""
    height, width = frames.shape[1:3]
    scale = BLURRED / min(height, width)
    small = (max(round(height * scale), 1), max(round(width * scale), 1))
    patches = F.interpolate(frames.movedim(-1, 1).clamp(0, 1), size=small, mode="area")
    return F.interpolate(patches, size=(height, width), mode="bilinear", align_corners=False).movedim(1, -1)
