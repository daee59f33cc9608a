"""What users call the nodes, for sentences that send them to one."""

from __future__ import annotations

from ..show1_core.checkpoints import Identity
from ..show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, Stage


def title_of(stage: Stage) -> str:
    """The display name of a stage's node."""
    return {KEYFRAMES.title: "Show-1 Keyframes", INTERPOLATION.title: "Show-1 Interpolator",
            FIRST_FRAME.title: "Show-1 First Frame SR", PIXEL_SR.title: "Show-1 Pixel SR",
            LATENT_SR.title: "Show-1 Latent SR"}[stage.title]


def frames_wanted(identity: Identity) -> str | None:
    """What to say when a core sampler calls a model without the frames that it takes beside the latent; None if it takes none."""
    if identity.config.in_channels == identity.config.sample_channels:
        return None
    before = {INTERPOLATION.title: "put Show-1 Interpolation Conditioning before the sampler, or ",
              PIXEL_SR.title: "put Show-1 Pixel SR Conditioning before the sampler, or "}
    return (f"{identity.stage.title} ({identity.source.name}) was given a latent without the frames that it works from; "
            f"{before.get(identity.stage.title, '')}sample with {title_of(identity.stage)}.")
