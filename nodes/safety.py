"""Frames looked at by a safety checker that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..show1_core.safety import Checker, blurred, checked_frames, checker_folders, read_checker, spread
from . import checks, files, host
from .common import CATEGORY, search_words

PLACE = "models/clip_vision or models/diffusers"
ACTIONS = ("flag", "blur", "black")


def checkers() -> dict[str, Path]:
    """Folders with a safety checker in the layout of diffusers, by option."""
    return checker_folders(folder for kind in ("clip_vision", "diffusers", "show1") for folder in host.folders(kind))


class Show1SafetyCheck(io.ComfyNode):
    """Scores frames with a safety checker, and hides what it flags if asked to."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1SafetyCheck", display_name="Show-1 Safety Check", category=CATEGORY,
            **search_words("nsfw", "safety checker", "content filter", "moderation"),
            description="Looks at frames with a safety checker that lies in your folders, says what it found, and blurs or "
                        "blackens flagged frames if you want. No template has it, and nothing is downloaded.",
            inputs=[
                io.Image.Input("images", tooltip="Frames from anywhere, best the finished ones."),
                io.Combo.Input("checker", options=list(checkers()),
                               tooltip="A folder such as safety_checker of Stable Diffusion 1.5 or of DeepFloyd IF, in "
                                       "models/clip_vision or models/diffusers."),
                io.Combo.Input("action", options=list(ACTIONS), default="flag",
                               tooltip="flag: frames stay as they are. blur, black: flagged frames are hidden."),
                io.Float.Input("threshold", default=0.0, min=-10.0, max=10.0, step=0.01,
                               tooltip="Frames that score higher are flagged. 0: the published border. Lower flags more."),
                io.Int.Input("every", default=1, min=1, max=1024, optional=True,
                             tooltip="Looks at every n-th frame and the last; between two of which one is flagged, all are. "
                                     "1: at all."),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Boolean.Output(display_name="flagged"),
                     io.String.Output(display_name="scores")],
        )

    @classmethod
    def validate_inputs(cls, checker: str | None = None) -> bool | str:
        return files.missing("checker", checker, checkers(), PLACE)

    @classmethod
    def execute(cls, images: Any, checker: str, action: str, threshold: float, every: int = 1) -> io.NodeOutput:
        checks.choice("action", action, ACTIONS)
        frames = checks.frames(images, "images")
        network = read_checker(files.one_of("checker", checker, checkers(), PLACE))
        places = checked_frames(len(frames), every)
        scores = scored(network, frames[places])
        worst = torch.stack([*scores.values()]).amax(dim=0)
        flags = spread(worst > threshold, places, len(frames))
        return io.NodeOutput(hidden(images, flags, action), bool(flags.any()), told(scores, places, threshold))


def scored(network: Checker, frames: Tensor) -> dict[str, Tensor]:
    """Scores (N,) of every frame by name; the host shows progress, and may stop it on the way."""
    with host.on_device(network):
        return network.scores(frames, host.progress_bar(len(frames)).update_absolute)


def hidden(images: Tensor, flags: Tensor, action: str) -> Tensor:
    """The frames, flagged ones as `action` says."""
    if action == "flag" or not bool(flags.any()):
        return images
    images = images.clone()
    images[flags] = blurred(images[flags]) if action == "blur" else 0.0
    return images


def told(scores: dict[str, Tensor], places: list[int], threshold: float) -> str:
    """A line for each frame that was looked at."""
    rows = zip(places, zip(*(values.tolist() for values in scores.values()), strict=True), strict=True)
    return "\n".join(
        f"frame {place}: " + ", ".join(f"{name} {score:+.3f}" for name, score in zip(scores, row, strict=True))
        + (" flagged" if max(row) > threshold else "") for place, row in rows)
