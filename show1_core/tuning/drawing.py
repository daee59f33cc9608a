"""What is drawn with, without a host: a LoRA on the stage that learnt it, and the noise of a clip."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import cascade
from ..checkpoints import Identity, read_identity
from ..models.unet import UNet
from ..sampling import NetworkDenoiser, Progress, StageSampler
from ..stages import KEYFRAMES, STAGES, Stage
from .adapters import Adapters, attach
from .frames import resized, thinned
from .inversion import blended, check_prior, invert, rising_sigmas
from .lora_files import Record, adapters_from, different_base, fingerprint, read

INVERSION_STEPS = 75  # VMC's


@dataclass(frozen=True)
class Lora:
    """A LoRA as its file has it, how strongly it acts, and on which stage."""

    adapters: Adapters
    record: Record
    stage: Stage
    strength: float = 1.0

    @classmethod
    def read(cls, path: Path, strength: float, folders: Mapping[str, Path]) -> Lora:
        """A file of this library or of another program; `folders` of the stages by name. One that names no stage is keyframes'.

        Raises CheckpointError or ValueError in one sentence when it cannot be read, or does not fit the stage.
        """
        tensors, record = read(path)
        if not math.isfinite(strength):
            raise ValueError(f"{path} has strength {strength}; expected a number, such as 1.")
        stages = {stage.name: stage for stage in STAGES if stage.name in folders}
        stage = stages.get(record.stage or KEYFRAMES.name)
        if stage is None:
            raise ValueError(f"{path} was learnt by {record.stage!r}; the models at hand are {', '.join(stages)}. Add the model "
                             "that it belongs to, or leave it out.")
        unet = UNet(read_identity(folders[stage.name]).config, device="meta")
        try:
            return cls(adapters_from(tensors, unet), record, stage, strength)
        except ValueError as error:
            raise ValueError(f"{path} does not go on {stage.name}: {error}") from error

    def put_on(self, unet: UNet, identity: Identity) -> None:
        """Calls of the UNet have it from now on; a warning says when it was learnt on another base."""
        if sentence := different_base(self.record, fingerprint(identity, unet)):
            logging.warning("Show-1: %s", sentence)
        attach(unet, self.adapters.to(next(unet.parameters()).device), self.strength)


@dataclass(frozen=True)
class Origin:
    """A clip (F, H, W, 3) in 0..1 whose noise keyframes begin from, `prior` of it in 0..1 (`inversion.blended`)."""

    images: Tensor
    prior: float

    def check(self, frames: int) -> None:
        """Raises ValueError in one sentence where so many keyframes cannot begin from it."""
        check_prior(self.prior)
        if len(self.images) < frames:
            raise ValueError(f"the clip whose noise is asked for has {len(self.images)} frames; expected {frames} or more, "
                             "as many as there are keyframes.")

    @torch.no_grad()
    def noise(self, sample: StageSampler, size: cascade.VideoSize, seed: int, progress: Progress) -> Tensor:
        """The clip's noise (1, 3, F, H, W) by a sampler's network under its negative text, blended with the seed's."""
        unet, device = sample.unet, sample.positive.device
        images = resized(thinned(self.images, size.frames), size.height, size.width)
        text = unet.prepare(sample.negative.to(unet.dtype))
        denoise = NetworkDenoiser(unet, sample.schedule, text, cascade.Condition(), 1.0)
        sigmas = rising_sigmas(sample.schedule, INVERSION_STEPS).tolist()
        inverted = invert(denoise, cascade.to_clip(images).to(device), sigmas, progress)
        inverted = inverted.cpu().contiguous()  # laid out like drawn noise: with prior 0 the same bits come out
        return blended(inverted, cascade.first_noise((3, *size), cascade.seeded(seed)), self.prior)
