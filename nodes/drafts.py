"""Many takes of the keyframes at once, and the choice of one."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import KEYFRAME_FPS, KEYFRAMES
from . import checks, common
from .run import Run
from .sheets import labelled_sheet


class Show1KeyframeDrafts(common.SamplerNode):
    """Draws several takes of the keyframes in one batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1KeyframeDrafts", display_name="Show-1 Keyframe Drafts", category=common.CATEGORY,
            **common.search_words("text to video", "t2v", "variations", "contact sheet", "pixel diffusion"),
            description="Several takes of the keyframes at once, to choose from before the expensive stages. "
                        "The first is what Show-1 Keyframes draws from seed, the next from seed + 1, "
                        "unless the sampler draws noise of its own.",
            inputs=[
                *common.model_inputs(KEYFRAMES), common.seed_input(), *common.strength_inputs(KEYFRAMES),
                io.Int.Input("count", default=4, min=1, max=64, tooltip="Takes. They share one batch: memory grows with them."),
                io.Int.Input("frames", default=8, min=1, max=64, tooltip="Keyframes of a take. Trained on 8."),
                *common.size_inputs(),
                *common.sampler_inputs(),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Image.Output(display_name="contact_sheet"),
                     io.Int.Output(display_name="frames")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, seed: int, steps: int, cfg: float, count: int, frames: int,
                width: int, height: int, sampler_name: str, scheduler: str) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler)
        checks.size(height, width, common.checked(run, KEYFRAMES).config.size_multiple, "the keyframe size")
        takes = cascade.drafts(common.sampling(run), cascade.VideoSize(frames, height, width), seed, count)
        images = [cascade.to_images(take[None]) for take in takes]
        return io.NodeOutput(torch.cat(images), labelled_sheet(images, seed), frames)


class Show1PickDraft(io.ComfyNode):
    """Hands one take on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1PickDraft", display_name="Show-1 Pick Draft", category=common.CATEGORY,
            description="One take of Show-1 Keyframe Drafts, by the number on the contact sheet.",
            inputs=[
                io.Image.Input("images", tooltip="All takes, from Show-1 Keyframe Drafts."),
                io.Int.Input("take", default=1, min=1, max=64, tooltip="The number on the contact sheet."),
                io.Int.Input("frames", default=8, min=1, max=64, tooltip="Keyframes of a take, as drawn."),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Float.Output(display_name="fps")],
        )

    @classmethod
    def execute(cls, images: Any, take: int, frames: int) -> io.NodeOutput:
        takes = checks.takes(checks.frames(images, "images"), frames)
        if not 1 <= take <= len(takes):
            raise ValueError(f"take is {take}; images has {checks.counted(len(takes), 'take')}.")
        return io.NodeOutput(takes[take - 1], KEYFRAME_FPS)
