"""Stage 4: the last lift, in latent space, by an expert on the less noisy timesteps."""

from __future__ import annotations

from functools import partial
from typing import Any

from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import LATENT_SR
from . import checks, common, host
from .run import Run


class Show1LatentSR(common.SamplerNode):
    """Resizes a clip, encodes it, redraws it with the latent expert, decodes it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1LatentSR", display_name="Show-1 Latent SR", category=common.CATEGORY,
            **common.search_words("upscale video", "super resolution", "video upscaler", "text to video"),
            description="Lifts a clip to its final size: resize, VAE encode, the last part of a denoising run, VAE decode.",
            inputs=[
                *common.model_inputs(LATENT_SR)[:1],
                io.Vae.Input("vae", tooltip="show-1-sr2/vae, or any SD 1.x VAE."),
                *common.model_inputs(LATENT_SR)[1:],
                io.Image.Input("images", tooltip="The clip, from Show-1 Pixel SR or any video."),
                common.seed_input(), *common.strength_inputs(LATENT_SR),
                io.Float.Input("denoise", default=LATENT_SR.denoise, min=0.01, max=1.0, step=0.01,
                               tooltip="How much is redrawn. Official: 0.8; the model was trained for 0.9 and below."),
                io.Int.Input("width", default=576, min=64, max=4096, step=8, tooltip="Of the video, in pixels. Official: 576."),
                io.Int.Input("height", default=320, min=64, max=4096, step=8, tooltip="Of the video, in pixels. Official: 320."),
                *common.sampler_inputs(),
            ],
            outputs=[io.Image.Output(display_name="images"), io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, model: Any, vae: Any, positive: Any, negative: Any, images: Any, seed: int, steps: int, cfg: float,
                denoise: float, width: int, height: int, sampler_name: str, scheduler: str) -> io.NodeOutput:
        run = Run(model, positive, negative, seed, steps, cfg, sampler_name, scheduler, denoise)
        common.checked(run, LATENT_SR)
        checks.latent_vae(vae)
        checks.size(height, width, 8, "the video size")
        frames = checks.frames(images, "images")
        sample = common.sampling(run, colours=host.colours(vae, model))
        latent = cascade.refine(sample, partial(host.encode_posterior, vae), frames, (height, width), seed)
        return io.NodeOutput(host.decode(vae, latent), {"samples": cascade.as_frames(latent)})
