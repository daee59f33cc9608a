"""Keyframes of which some are given: a picture that is animated, two that are joined, a loop."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..show1_core.cascade import VideoSize
from ..show1_core.given_frames import fitted, given_frames
from . import checks, common


class Show1GivenFrames(io.ComfyNode):
    """An empty clip that holds frames to keep, for core samplers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1GivenFrames", display_name="Show-1 Given Frames", category=common.CATEGORY,
            **common.search_words("image to video", "i2v", "first frame", "last frame", "inpaint", "loop", "continue video"),
            description="Keyframes that begin or end with pictures of yours: a core sampler draws the others, and keeps these.",
            inputs=[
                io.Int.Input("frames", default=8, min=2, max=1024, tooltip="All keyframes, the given ones too. Trained on 8."),
                *common.size_inputs(),
                io.Image.Input("first_frames", optional=True,
                               tooltip="What the clip begins with: a picture, or the last keyframes of a clip to go on from."),
                io.Image.Input("last_frames", optional=True,
                               tooltip="What the clip ends with. The same picture as first_frames makes a loop."),
            ],
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.Image.Output(display_name="first_frame", tooltip="The first picture four times as large, for Pixel SR."),
                io.Image.Output(display_name="last_frame", tooltip="The last picture four times as large, for Pixel SR."),
            ],
        )

    @classmethod
    def execute(cls, frames: int, width: int, height: int, first_frames: Any = None, last_frames: Any = None) -> io.NodeOutput:
        first, last = (None if images is None else checks.frames(images, name, minimum=1)
                       for name, images in (("first_frames", first_frames), ("last_frames", last_frames)))
        clip, drawn = given_frames(VideoSize(frames, height, width), first, last)
        large = (None if images is None else fitted(images[place:][:1], 4 * height, 4 * width)
                 for images, place in ((first, 0), (last, -1)))
        return io.NodeOutput({"samples": clip, "noise_mask": drawn}, *large)
