"""Stage 1: keyframes that follow the text."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import KEYFRAME_FPS, KEYFRAMES
from . import checks, common
from .run import Run


class Show1KeyframeSampler(common.SamplerNode):
    """Draws the keyframes of a clip from text, in pixel space."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1KeyframeSampler", display_name="Show-1 Keyframes", category=common.CATEGORY,
            **common.search_words("text to video", "t2v", "text2video", "pixel diffusion", "generate video"),
            description="Draws a few small keyframes that follow the prompt. What they show decides the whole video.",
            inputs=[
                *common.model_inputs(KEYFRAMES), common.seed_input(), *common.strength_inputs(KEYFRAMES),
                io.Int.Input("frames", default=8, min=1, max=1024, tooltip="n keyframes become 4n - 3 frames. Trained on 8."),
                *common.size_inputs(),
                *common.sampler_inputs(),
                io.Image.Input("images", optional=True,
                               tooltip="Keyframes to redraw with denoise below 1; width, height and frames then come from them."),
                common.denoise_input(),
                io.Boolean.Input("free_noise", default=False, optional=True,
                                 tooltip="For more than 8 frames, with the core Context Windows on the model: all windows begin "
                                         "from the same noise, shuffled (FreeNoise), so that what is shown stays the same."),
                io.Latent.Input("noise", optional=True, tooltip="From Show-1 Invert: noise to start from in place of the seed's; "
                                                                "width, height and frames then come from it."),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Float.Output(display_name="fps")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, seed: int, steps: int, cfg: float, frames: int, width: int,
                height: int, sampler_name: str, scheduler: str, images: Any = None, denoise: float = 1.0,
                free_noise: bool = False, noise: Any = None) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise)
        multiple = common.checked(run, KEYFRAMES).config.size_multiple
        start = None
        if images is not None:
            start = cascade.to_clip(checks.frames(images, "images", multiple=multiple))
            frames, height, width = start.shape[2:]
        elif denoise < 1.0:
            raise ValueError(f"denoise is {denoise} but no images are connected; connect keyframes to redraw, or set it to 1.")
        given = checks.noise(noise, start)
        if given is not None:
            frames, height, width = given.shape[2:]
        checks.size(height, width, multiple, "the keyframe size")
        window = checks.context_window(model) if free_noise else None
        clip = cascade.keyframes(common.sampling(run), cascade.VideoSize(frames, height, width), seed, start, window, given)
        return io.NodeOutput(cascade.to_images(clip), KEYFRAME_FPS)
