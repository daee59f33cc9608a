"""Takes of the keyframes in the order in which they follow the prompt."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..show1_core.evaluation.clip import ClipScorer, clip_folders
from ..show1_core.evaluation.scores import similarity
from . import checks, files, host
from .common import CATEGORY
from .sheets import sheet_of

PLACE = "models/clip_vision"
MINI_SCORER, MINI_FRAMES = "show1-mini/scorer", (20, 32)  # height and width of all that it has learnt from
MOST_NAMED = 8  # words in a warning


def clips() -> dict[str, Path]:
    """Folders with a whole CLIP, in the layout of transformers, by option."""
    return clip_folders(folder for kind in ("clip_vision", "clip", "show1") for folder in host.folders(kind))


class Show1RankDrafts(io.ComfyNode):
    """Ranks takes by CLIP similarity with the prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1RankDrafts", display_name="Show-1 Rank Drafts", category=CATEGORY,
            description="Orders the takes of Show-1 Keyframe Drafts by how well they follow the prompt, as CLIP sees it.",
            inputs=[
                io.Image.Input("images", tooltip="All takes, from Show-1 Keyframe Drafts, or clips of one length from anywhere."),
                io.Int.Input("frames", default=8, min=1, max=1024, tooltip="Frames of a take, as drawn."),
                io.String.Input("prompt", multiline=True,
                                tooltip="What the takes are compared with: the prompt they were drawn from."),
                io.Combo.Input("clip", options=list(clips()),
                               tooltip="A folder with CLIP in models/clip_vision or models/clip, such as clip-vit-base-patch32. "
                                       "For Show-1 mini its own: show1-mini/scorer."),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Image.Output(display_name="sheet"),
                     io.Int.Output(display_name="best_take"), io.Float.Output(display_name="best_score")],
        )

    @classmethod
    def validate_inputs(cls, clip: str | None = None) -> bool | str:
        return files.missing("clip", clip, clips(), PLACE)

    @classmethod
    def execute(cls, images: Any, frames: int, prompt: str, clip: str) -> io.NodeOutput:
        takes = checks.takes(checks.frames(images, "images"), frames)
        if not prompt.strip():
            raise ValueError("prompt is empty; the takes are compared with it, so give the prompt they were drawn from.")
        scorer = ClipScorer.from_folder(files.one_of("clip", clip, clips(), PLACE))
        if clip == MINI_SCORER and (doubts := doubts_of(takes[0], scorer.in_pieces(prompt))):
            logging.warning("Show-1 Rank Drafts: %s has learnt the world of Show-1 mini alone: %s. For other models choose a "
                            "whole CLIP, such as clip-vit-base-patch32 in %s.", clip, " and ".join(doubts), PLACE)
        scores = scored(takes, prompt, scorer)
        order = sorted(range(len(takes)), key=lambda take: -scores[take])  # equal scores stay in the order they were drawn
        ranked = [takes[take] for take in order]
        labels = [f"{place}   take {take + 1}   score {scores[take]:.4f}" for place, take in enumerate(order, start=1)]
        return io.NodeOutput(torch.cat(ranked), sheet_of(ranked, labels), order[0] + 1, scores[order[0]])


def doubts_of(take: Tensor, unknown: list[str]) -> list[str]:
    """Why the mini's scorer can say little of a take (F, H, W, 3): words that it does not know, frames larger than its own."""
    doubts, (height, width) = [], take.shape[1:3]
    if unknown:
        named = unknown if len(unknown) <= MOST_NAMED else [*unknown[:MOST_NAMED], "..."]
        doubts.append(f"it does not know {', '.join(named)}")
    if height > MINI_FRAMES[0] or width > MINI_FRAMES[1]:
        doubts.append(f"it knows frames of {MINI_FRAMES[1]}x{MINI_FRAMES[0]}, and these are {width}x{height}")
    return doubts


def scored(takes: list[Tensor], prompt: str, scorer: ClipScorer) -> list[float]:
    """The mean cosine of every take's frames with the prompt; the host shows progress, and may stop it between takes."""
    bar = host.progress_bar(len(takes))
    with host.on_device(scorer.network):
        text = scorer.texts([prompt])[0]
        scores = []
        for number, take in enumerate(takes, start=1):
            scores.append(similarity(scorer.frames(take), text))
            bar.update_absolute(number)
    return scores
