"""Stage 3: four times larger, in pixel space; the first frame by an image model, the clip after it."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import FIRST_FRAME, PIXEL_SR
from . import checks, common
from .run import Run


class Show1FirstFrameSR(common.SamplerNode):
    """Enlarges one frame with the image model, for Show-1 Pixel SR to follow."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1FirstFrameSR", display_name="Show-1 First Frame SR", category=common.CATEGORY,
            **common.search_words("upscale image", "super resolution", "pixel diffusion", "deepfloyd if"),
            description="Enlarges the first frame four times with an image model. Any other upscaler's image does as well.",
            inputs=[
                *common.model_inputs(FIRST_FRAME),
                io.Image.Input("image", tooltip="The clip; its first frame is taken."),
                common.seed_input(), *common.strength_inputs(FIRST_FRAME), common.noise_level_input(FIRST_FRAME),
                *common.sampler_inputs(), common.denoise_input(),
            ],
            outputs=[io.Image.Output(display_name="image")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, image: Any, seed: int, steps: int, cfg: float, noise_level: int,
                sampler_name: str, scheduler: str, denoise: float = 1.0) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise)
        identity = common.checked(run, FIRST_FRAME)
        images = checks.frames(image, "image", multiple=input_multiple(identity.config.size_multiple))
        frame = cascade.to_clip(images[:1])
        clip = cascade.first_frame(common.sampling(run), frame, identity.noising, noise_level, seed, redraw=denoise < 1)
        return io.NodeOutput(cascade.to_images(clip))


class Show1PixelSR(common.SamplerNode):
    """Enlarges a clip four times, window after window."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1PixelSR", display_name="Show-1 Pixel SR", category=common.CATEGORY,
            **common.search_words("upscale video", "super resolution", "video upscaler", "pixel diffusion", "text to video"),
            description="Enlarges a clip four times, 8 frames at once; each window begins with the last frame of the one before.",
            inputs=[
                *common.model_inputs(PIXEL_SR),
                io.Image.Input("images", tooltip="The clip, from Show-1 Interpolator or any video of small frames."),
                common.seed_input(), *common.strength_inputs(PIXEL_SR), common.noise_level_input(PIXEL_SR),
                *common.sampler_inputs(),
                io.Image.Input("first_frame", optional=True,
                               tooltip="The first frame four times as large, from Show-1 First Frame SR or any upscaler."),
                common.denoise_input(),
                io.Image.Input("last_frame", optional=True,
                               tooltip="The last frame four times as large, for a clip that ends with a given picture."),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, negative: Any, images: Any, seed: int, steps: int, cfg: float, noise_level: int,
                sampler_name: str, scheduler: str, first_frame: Any = None, denoise: float = 1.0,
                last_frame: Any = None) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise)
        identity = common.checked(run, PIXEL_SR)
        clip = cascade.to_clip(checks.frames(images, "images", multiple=input_multiple(identity.config.size_multiple)))
        first, last = (checks.enlarged_frame(image, clip, name)
                       for name, image in (("first_frame", first_frame), ("last_frame", last_frame)))
        windows = len(cascade.windows(clip.shape[2]))
        sample = common.sampling(run, windows)
        clip = cascade.upscale(sample, clip, first, identity.noising, noise_level, seed, redraw=denoise < 1, last=last)
        return io.NodeOutput(cascade.to_images(clip))


def input_multiple(multiple: int) -> int:
    """What the small frames must be divisible by so that four times their size is by `multiple`."""
    return max(multiple // 4, 1)
