"""The nodes of the pack, one file a stage."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import host
from .core_samplers import Show1EmptyPixelLatent, Show1InterpolationConditioning, Show1JoinPairs, Show1PixelSRConditioning
from .drafts import Show1KeyframeDrafts, Show1PickDraft
from .free_noise import Show1FreeNoise
from .given_frames import Show1GivenFrames
from .interpolation import Show1Interpolator
from .keyframes import Show1KeyframeSampler
from .latent_sr import Show1LatentSR
from .loaders import Show1ModelLoader, Show1TextEncoderLoader, Show1VAELoader
from .lora import Show1LoadLoRA
from .motion import Show1Invert, Show1TrainMotion
from .pixel_sr import Show1FirstFrameSR, Show1PixelSR
from .ranking import Show1RankDrafts
from .safety import Show1SafetyCheck
from .text import Show1T5Encode


class Show1Extension(ComfyExtension):
    """What the host asks a pack for."""

    def __init__(self) -> None:
        host.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            Show1ModelLoader, Show1TextEncoderLoader, Show1VAELoader, Show1T5Encode, Show1KeyframeSampler, Show1Interpolator,
            Show1FirstFrameSR, Show1PixelSR, Show1LatentSR, Show1KeyframeDrafts, Show1PickDraft, Show1EmptyPixelLatent,
            Show1InterpolationConditioning, Show1JoinPairs, Show1PixelSRConditioning, Show1RankDrafts,
            Show1GivenFrames, Show1SafetyCheck, Show1TrainMotion, Show1Invert, Show1LoadLoRA, Show1FreeNoise,
        ]
