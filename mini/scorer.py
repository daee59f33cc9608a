"""The scorer: a small CLIP of the small world, in transformers' layout, which says how well a clip follows its caption.

It learns what it is used for: the mean cosine of a clip's frames with a text. Every batch is made of families, a kind and
what is nearly that kind, drawn with the same accidents, so that most of what a batch asks is hard.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from show1_core.evaluation.clip import normalised, squeezed
from show1_core.texts import load_tokenizer

from .grammar import Kind, caption, is_held_out, kinds
from .near_misses import near_misses
from .recipes import LOW
from .render import render
from .scorer_words import END, START, TOKENS, vocabulary, write_tokenizer
from .world import scene_of

FAMILY = 4  # kinds that are nearly the same, in a batch
PAIRS = 0.75  # of the families begin with two solids
SEEN = 2  # frames of a clip in a step, one of each half
MEAN, SPREAD = 0.5, 0.5  # of a colour, for the network
BLUR, FADE, NOISE = 1.0, 0.12, 0.06  # at most: the share of a blurred picture; of each colour's light; deviation of noise


@dataclass(frozen=True)
class ScorerRecipe:
    """Sizes of the network. Frames of any shape are squeezed to `side` pixels of height and width."""

    width: int = 48
    feed_forward: int = 96
    heads: int = 4
    picture_layers: int = 3
    text_layers: int = 2
    projection: int = 48
    side: int = 30
    patch: int = 5


def config_of(recipe: ScorerRecipe) -> Any:
    """The transformers config, as it is saved beside the weights."""
    from transformers import CLIPConfig

    ids = vocabulary()
    shared = {"hidden_size": recipe.width, "intermediate_size": recipe.feed_forward, "num_attention_heads": recipe.heads,
              "projection_dim": recipe.projection, "hidden_act": "gelu"}
    text = {**shared, "num_hidden_layers": recipe.text_layers, "vocab_size": len(ids), "max_position_embeddings": TOKENS,
            "bos_token_id": ids[START], "eos_token_id": ids[END], "pad_token_id": ids[END]}
    picture = {**shared, "num_hidden_layers": recipe.picture_layers, "image_size": recipe.side, "patch_size": recipe.patch}
    return CLIPConfig(text_config=text, vision_config=picture, projection_dim=recipe.projection, architectures=["CLIPModel"])


def preprocessing(recipe: ScorerRecipe) -> dict[str, Any]:
    """The preprocessor_config.json: a frame is squeezed, not cut, for a solid at its side is part of what is asked."""
    return {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "resample": 3, "do_center_crop": False,
            "size": {"height": recipe.side, "width": recipe.side}, "do_rescale": True, "rescale_factor": 1 / 255,
            "do_convert_rgb": True, "do_normalize": True, "image_mean": [MEAN] * 3, "image_std": [SPREAD] * 3}


def families(rng: np.random.Generator, count: int) -> list[list[Kind]]:
    """Kinds of the training set, each with some that are nearly the same."""
    pool, made = kinds(held_out=False), []
    for kind in (pool[index] for index in rng.integers(len(pool), size=count)):
        kind = kind.beside(rng) if rng.uniform() < PAIRS else kind
        near = [other for other in near_misses(rng, kind).values() if not is_held_out(other)]
        made.append([kind, *(near[index] for index in rng.permutation(len(near))[: FAMILY - 1])])
    return made


def drawn(rng: np.random.Generator, related: Sequence[Sequence[Kind]]) -> np.ndarray:
    """Frames of every kind, float32 (N, SEEN, H, W, 3) in 0..1; the accidents and the times of a family are the same."""
    scenes, times = [], []
    for family in related:
        accidents, moments = int(rng.integers(2**62)), (np.arange(SEEN) + rng.uniform(size=SEEN)) / SEEN
        scenes += [scene_of(np.random.default_rng(accidents), kind) for kind in family]
        times += [moments] * len(family)
    return render(scenes, np.stack(times), LOW)


def worn(frames: Tensor, noise: torch.Generator) -> Tensor:
    """Frames (N, T, H, W, 3) as a network may draw them: blurred, tinted and noisy, each clip in its own way."""
    def some(*shape: int) -> Tensor:
        return torch.rand(shape, generator=noise)

    clips = len(frames)
    soft = F.avg_pool2d(rearrange(frames, "n t h w c -> (n t) c h w"), 3, 1, 1, count_include_pad=False)
    soft = rearrange(soft, "(n t) c h w -> n t h w c", n=clips)
    tinted = torch.lerp(frames, soft, BLUR * some(clips, 1, 1, 1, 1)) * (1 + FADE * (2 * some(clips, 1, 1, 1, 3) - 1))
    return tinted + NOISE * some(clips, 1, 1, 1, 1) * torch.randn(frames.shape, generator=noise)


SCORER_RECIPE = ScorerRecipe()


class Scorer(nn.Module):
    """A CLIP and the tokenizer it reads with, learning to tell families apart."""

    def __init__(self, recipe: ScorerRecipe, seed: int = 0) -> None:
        super().__init__()
        from transformers import CLIPModel

        self.recipe = recipe
        self.register_buffer("mean", torch.full((3,), MEAN), persistent=False)
        self.register_buffer("spread", torch.full((3,), SPREAD), persistent=False)
        with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(seed)
            self.clip = CLIPModel(config_of(recipe))
            write_tokenizer(Path(folder))
            self._tokenizer = load_tokenizer(Path(folder))

    mean: Tensor
    spread: Tensor

    def texts(self, captions: Sequence[str]) -> Tensor:
        """The unit vector of every caption, (N, D)."""
        words = self._tokenizer(list(captions), padding=True, return_tensors="pt").to(self.clip.device)
        pooled = self.clip.text_model(words["input_ids"], attention_mask=words["attention_mask"]).pooler_output
        return F.normalize(self.clip.text_projection(pooled), dim=-1)

    def pictures(self, frames: Tensor) -> Tensor:
        """The unit vector of every frame (F, H, W, 3) in 0..1, (F, D)."""
        pixels = normalised(squeezed(frames.to(self.mean.device), self.recipe.side), self.mean, self.spread)
        return F.normalize(self.clip.visual_projection(self.clip.vision_model(pixel_values=pixels).pooler_output), dim=-1)

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        related = families(data, batch // FAMILY)
        members = [kind for family in related for kind in family]
        frames = worn(torch.from_numpy(drawn(data, related)), noise)
        pictures = self.pictures(rearrange(frames, "n t h w c -> (n t) h w c"))
        cosines = pictures @ self.texts([caption(data, kind) for kind in members]).T
        scores = reduce(cosines, "(n t) m -> n m", "mean", t=SEEN) * self.clip.logit_scale.exp()
        return contrastive(scores, members)


def contrastive(scores: Tensor, members: Sequence[Kind]) -> Tensor:
    """How far every clip is from its own text among all, and every text from its clip, (N, N) -> (); Radford et al. 2021.

    Where two members are one kind, neither is wrong for the other.
    """
    same = torch.tensor([[one == other for other in members] for one in members], device=scores.device)
    same.fill_diagonal_(False)
    scores = scores.masked_fill(same, -torch.inf)
    own = torch.arange(len(members), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2
