"""Motion or style of one clip, learnt as a LoRA; and the noise that a clip would have been drawn from."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from comfy_api.latest import io

from ..show1_core import cascade
from ..show1_core.stages import KEYFRAMES
from ..show1_core.tuning.adapters import QKV, SETS
from ..show1_core.tuning.examples import check_loss, example_of
from ..show1_core.tuning.frames import fitted
from ..show1_core.tuning.inversion import blended
from ..show1_core.tuning.motion import FRAME_COSINE, LOSSES, Plan
from . import checks, common, host

LORA = "LORA_MODEL"


class Show1TrainMotion(io.ComfyNode):
    """Learns how one clip moves, or how it looks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1TrainMotion", display_name="Show-1 Train Motion", category=common.CATEGORY,
            **common.search_words("motion lora", "train lora", "motion customization", "VMC", "style lora", "finetune"),
            description="Learns the motion of one clip, or its style, as a small LoRA that makes other prompts move or look so. "
                        "Save LoRA, Load LoRA Model and Plot Loss Graph take what comes out.",
            inputs=[
                io.Model.Input("model", tooltip=f"From Show-1 Model Loader: {KEYFRAMES.title} ({KEYFRAMES.checkpoint}); for a "
                                                "style any other stage's too."),
                io.Conditioning.Input("positive", tooltip="What the clip shows and does, encoded. For a motion without place and "
                                                          "colours, such as: a cat is roaring. For a style with its name."),
                io.Image.Input("images", tooltip="The clip, as the model should make it. For keyframes 2 frames or more; of more "
                                                 "than 8, 8 are taken, evenly spread."),
                io.Int.Input("steps", default=400, min=1, max=100000, tooltip="VMC: 400. The mini: 100."),
                io.Float.Input("learning_rate", default=1e-4, min=1e-6, max=1.0, step=1e-6, round=False,
                               tooltip="VMC: 0.0001, for whole matrices. A LoRA bears 0.0005."),
                io.Int.Input("rank", default=32, min=0, max=512, tooltip="Size of the LoRA; 0 trains whole matrices."),
                io.Combo.Input("train", options=[*SETS], default=QKV,
                               tooltip="Which layers learn. q k v, of attention over frames: VMC. k: less of the looks. Spatial "
                                       "ones: style."),
                io.Combo.Input("loss", options=[*LOSSES], default=FRAME_COSINE,
                               tooltip="What is compared. frame cosine: VMC's paper. debiased: MotionDirector. noise: style."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                             tooltip="Of the first LoRA weights, and of the noise and timesteps of every step."),
                io.Boolean.Input("reverse", default=False, tooltip="Learn from the frames backwards."),
                io.Custom(LORA).Input("lora", optional=True, tooltip="A LoRA to go on from, of this node or of Show-1 Load LoRA; "
                                                                       "it keeps its layers."),
                common.advanced(io.Int.Input("preview_every", default=0, min=0, max=100000, optional=True,
                                             tooltip="Steps between pictures of what the prompt looks like by now, in pixel "
                                                     "space. 0: none.")),
                io.Vae.Input("vae", optional=True, tooltip="For the latent super-resolution model alone, which learns in its "
                                                           "latent space."),
            ],
            outputs=[io.Custom(LORA).Output(display_name="lora"), io.Custom("LOSS_MAP").Output(display_name="loss_map"),
                     io.Int.Output(display_name="steps")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, images: Any, steps: int, learning_rate: float, rank: int, train: str, loss: str,
                seed: int, reverse: bool, lora: Any = None, preview_every: int = 0, vae: Any = None) -> io.NodeOutput:
        checks.choice("train", train, [*SETS])
        checks.choice("loss", loss, [*LOSSES])
        identity = checks.of_this_pack(model)
        check_loss(identity, loss)
        checks.text(positive, "positive", identity)
        frames = checks.frames(images, "images")
        if vae is not None:
            checks.latent_vae(vae)
        text, prompt = host.text_of(positive)
        example = example_of(identity, frames.flip(0) if reverse else frames, text,
                             None if vae is None else partial(host.encode_posterior, vae))
        plan = Plan(steps, learning_rate, loss, train, rank, seed)
        learnt = host.train(host.Training(model, example, prompt, plan, lora, preview_every))
        return io.NodeOutput(learnt.tensors, {"loss": learnt.losses}, len(learnt.losses))


class Show1Invert(io.ComfyNode):
    """The noise of a clip."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1Invert", display_name="Show-1 Invert", category=common.CATEGORY,
            **common.search_words("ddim inversion", "inverted noise", "noise prior", "unsample"),
            description="The noise that a clip would have been drawn from. As the start of Show-1 Keyframes it brings the clip's "
                        "motion along, and some of its looks.",
            inputs=[
                io.Model.Input("model", tooltip=f"From Show-1 Model Loader: {KEYFRAMES.title} ({KEYFRAMES.checkpoint}), with the "
                                                "trained LoRA or without."),
                io.Conditioning.Input("positive", tooltip="VMC: empty text, encoded. Or what the clip shows."),
                io.Image.Input("images", tooltip="The clip, a frame for each keyframe; of more than 8, 8 are taken."),
                io.Int.Input("steps", default=75, min=1, max=1000, tooltip="Official timesteps, backwards. VMC: 75."),
                io.Float.Input("prior", default=1.0, min=0.0, max=1.0, step=0.01,
                               tooltip="Share of the clip's noise. 1: all of it. 0: fresh noise. 0.5 leaves the looks freer."),
                common.seed_input(),
            ],
            outputs=[io.Latent.Output(display_name="noise")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, images: Any, steps: int, prior: float, seed: int) -> io.NodeOutput:
        identity = checks.stage_model(model, KEYFRAMES)
        checks.text(positive, "positive", identity)
        clip = cascade.to_clip(fitted(checks.frames(images, "images"), identity))
        inverted = host.inverted(model, positive, clip, steps, common.Progress(model, 1))
        fresh = cascade.draw(clip.shape, cascade.seeded(seed), torch.device("cpu"))
        return io.NodeOutput({"samples": blended(inverted.cpu(), fresh, prior)})
