"""Stage 2: the motion between keyframes."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import INTERPOLATION, KEYFRAME_FPS
from . import checks, common
from .run import Run


class Show1Interpolator(common.SamplerNode):
    """Fills three frames between every two."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1Interpolator", display_name="Show-1 Interpolator", category=common.CATEGORY,
            **common.search_words("interpolate", "frame interpolation", "smooth video", "slow motion", "text to video"),
            description="Makes 4n - 3 frames of n, by drawing what happens between neighbours. All pairs run at once.",
            inputs=[
                *common.model_inputs(INTERPOLATION),
                io.Image.Input("images", tooltip="At least two frames, from Show-1 Keyframes or any video."),
                common.seed_input(), *common.strength_inputs(INTERPOLATION), *common.sampler_inputs(),
                io.Float.Input("fps", default=KEYFRAME_FPS, min=0.01, max=1000.0, step=0.01, optional=True,
                               tooltip="Frame rate of images; four times as much comes out."),
                common.denoise_input(),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Float.Output(display_name="fps")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, images: Any, seed: int, steps: int, cfg: float,
                sampler_name: str, scheduler: str, fps: float = KEYFRAME_FPS, denoise: float = 1.0) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise)
        multiple = common.checked(run, INTERPOLATION).config.size_multiple
        keyframes = cascade.to_clip(checks.frames(images, "images", minimum=2, multiple=multiple))
        clip = cascade.interpolate(common.sampling(run), keyframes, seed, redraw=denoise < 1)
        return io.NodeOutput(cascade.to_images(clip), fps * 4)
