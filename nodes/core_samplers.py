"""What core samplers need to run the stages: latents of pixel clips, and the stages' frames as conditioning."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.cascade import Condition
from ..show1_core.schedule import add_noise
from ..show1_core.stages import NOISING, PAIR_FRAMES, PIXEL_SR, WINDOW_FRAMES
from . import checks, common, host


class Show1EmptyPixelLatent(io.ComfyNode):
    """An empty clip in pixel space, for core samplers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1EmptyPixelLatent", display_name="Show-1 Empty Pixel Latent", category=common.CATEGORY,
            **common.search_words("empty video latent", "pixel diffusion", "text to video"),
            description="An empty clip for KSampler and the keyframe model. Decode with Load VAE (pixel_space) and VAE Decode.",
            inputs=[
                io.Int.Input("frames", default=8, min=1, max=1024, tooltip="Trained on 8."),
                *common.size_inputs(),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Clips drawn at once."),
            ],
            outputs=[io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, frames: int, width: int, height: int, batch_size: int) -> io.NodeOutput:
        return io.NodeOutput({"samples": torch.zeros(batch_size, 3, frames, height, width)})


class Show1InterpolationConditioning(io.ComfyNode):
    """Keyframes as conditioning of the interpolation model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1InterpolationConditioning", display_name="Show-1 Interpolation Conditioning", category=common.CATEGORY,
            **common.search_words("interpolate", "frame interpolation"),
            description="For core samplers: keyframes as conditioning of the interpolation model, and the latent to fill.",
            inputs=[*text_inputs(), io.Image.Input("images", tooltip="At least two keyframes.")],
            outputs=conditioning_outputs(),
        )

    @classmethod
    def execute(cls, positive: Any, negative: Any, images: Any) -> io.NodeOutput:
        frames = cascade.interpolation_condition(cascade.to_clip(checks.frames(images, "images", minimum=2)))
        return conditioned(positive, negative, Condition(frames, times=cascade.pair_times(len(frames))))


class Show1JoinPairs(io.ComfyNode):
    """Interpolated pairs as one clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1JoinPairs", display_name="Show-1 Join Pairs", category=common.CATEGORY,
            description="Joins pairs sampled with Show-1 Interpolation Conditioning: of every shared frame one stays.",
            inputs=[io.Image.Input("images", tooltip="Five frames a pair, from VAE Decode.")],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(cls, images: Any) -> io.NodeOutput:
        images = checks.frames(images, "images")
        if len(images) % PAIR_FRAMES:
            raise ValueError(f"images has {checks.counted(len(images), 'frame')}; expected {PAIR_FRAMES} for each pair, as VAE "
                             "Decode gives them.")
        pairs = images.unflatten(0, (-1, PAIR_FRAMES)).permute(0, 4, 1, 2, 3)  # (n-1, C, 5, H, W)
        return io.NodeOutput(cascade.join_pairs(pairs)[0].movedim(0, -1))


class Show1PixelSRConditioning(io.ComfyNode):
    """A window of small frames as conditioning of the pixel super-resolution model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1PixelSRConditioning", display_name="Show-1 Pixel SR Conditioning", category=common.CATEGORY,
            **common.search_words("upscale video", "super resolution"),
            description="For core samplers: up to 8 frames, enlarged and noised, as conditioning of Show-1's pixel SR model.",
            inputs=[
                *text_inputs(), io.Image.Input("images", tooltip=f"At most {WINDOW_FRAMES} frames."), common.seed_input(),
                common.noise_level_input(PIXEL_SR),
                io.Image.Input("first_frame", optional=True, tooltip="The first frame four times as large."),
            ],
            outputs=conditioning_outputs(),
        )

    @classmethod
    def execute(cls, positive: Any, negative: Any, images: Any, seed: int, noise_level: int,
                first_frame: Any = None) -> io.NodeOutput:
        images = checks.frames(images, "images", multiple=4)
        if len(images) > WINDOW_FRAMES:
            raise ValueError(f"images has {len(images)} frames; expected at most {WINDOW_FRAMES}, or Show-1 Pixel SR for more.")
        clip = cascade.to_clip(images)
        large, first = cascade.enlarge(clip, 4), checks.enlarged_frame(first_frame, clip, "first_frame")
        frames = add_noise(NOISING, large, cascade.draw(large.shape, cascade.seeded(seed), large.device), noise_level)
        if first is not None:
            frames[:, :, :1] = first
        return conditioned(positive, negative, Condition(frames, noise_level, cascade.times(0, frames.shape[2])))


def text_inputs() -> list[Any]:
    return [io.Conditioning.Input(name, tooltip="From Show-1 T5 Encode.") for name in ("positive", "negative")]


def conditioning_outputs() -> list[Any]:
    return [io.Conditioning.Output(display_name="positive"), io.Conditioning.Output(display_name="negative"),
            io.Latent.Output(display_name="latent")]


def conditioned(positive: Any, negative: Any, condition: Condition) -> io.NodeOutput:
    """Both texts with the condition, and an empty clip of its size."""
    assert condition.frames is not None
    empty = torch.zeros_like(condition.frames[:, :3])
    return io.NodeOutput(host.conditioned(positive, condition), host.conditioned(negative, condition), {"samples": empty})
