"""What every stage learns from, besides its plan, as `training.json` has it: read from the classes that use it."""

from __future__ import annotations

from typing import Any

from show1_core.tuning.objectives import EXPERT_TIMESTEPS

from . import redraw, scorer, tasks
from .latent import KL_WEIGHT, LATENT_PATCH, PATCH, WHOLE_EVERY, Autoencoder, LatentSR
from .tasks import DiffusionTask, FirstFrame, ImagePairs, Images, Interpolation, KeyframePairs, Keyframes, PixelSR

# The class of each stage; what `mini.train` makes of it is held to this by a test.
LEARNERS: dict[str, type] = {
    "images": Images, "keyframes": Keyframes, "image-pairs": ImagePairs, "keyframe-pairs": KeyframePairs,
    "interpolation": Interpolation, "first-frame": FirstFrame, "first-frame-edges": redraw.FirstFrameAtEdges,
    "sr1": PixelSR, "sr1-edges": redraw.PixelSRAtEdges, "vae": Autoencoder, "sr2": LatentSR,
    "sr2-early": redraw.LatentSREarly, "sr2-full": LatentSR, "scorer": scorer.Scorer,
}
# Constants that a class uses, and all that are made from it. Attributes of a class (floor, late, pairs) are found there.
USED: dict[type, dict[str, Any]] = {
    DiffusionTask: {"pairs": tasks.PAIRS, "text_dropped": tasks.TEXT_DROPPED},
    tasks.TwoSolids: {"binding_weight": tasks.BINDING_WEIGHT},
    tasks.SuperResolution: {"crop": tasks.CROP, "noise_levels": tasks.NOISE_LEVELS},
    FirstFrame: {"variance_weight": tasks.VARIANCE_WEIGHT},
    PixelSR: {"first_dropped": tasks.FIRST_DROPPED, "frames": tasks.WINDOW},
    Autoencoder: {"pairs": tasks.PAIRS, "crop": (PATCH, PATCH), "whole_every": WHOLE_EVERY, "kl_weight": KL_WEIGHT},
    LatentSR: {"crop": LATENT_PATCH, "whole_every": WHOLE_EVERY, "frames": tasks.WINDOW, "last": EXPERT_TIMESTEPS},
    scorer.Scorer: {"pairs": scorer.PAIRS, "family": scorer.FAMILY, "frames": scorer.SEEN, "blur": scorer.BLUR,
                    "fade": scorer.FADE, "noise": scorer.NOISE},
}


def lesson(stage: str) -> dict[str, Any]:
    """The constants a stage learns with, by name."""
    found: dict[str, Any] = {}
    for one in reversed(LEARNERS[stage].__mro__):
        if one.__module__.startswith(f"{__package__}."):
            own = {name: value for name, value in vars(one).items() if isinstance(value, (int, float, tuple)) and name[0] != "_"}
            found |= USED.get(one, {}) | own
    return found | ({"last": 1000} if stage == "sr2-full" else {})
