"""How the stages of the mini are sampled."""

from __future__ import annotations

from dataclasses import dataclass

from show1_core.recipe import FirstFrame, Interpolate, Keyframes, Recipe, Refine, Upscale

from .recipes import HIGH, LOW


@dataclass(frozen=True)
class Setting:
    """Steps, guidance and, where a stage has them, the condition's noise level and the part of the schedule that is run."""

    steps: int
    guidance: float
    noise_level: int = 0
    denoise: float = 1.0


# Guidance of 1 is half the work. The keyframes follow their text without more since the text encoder learnt which words belong
# together, and 12 such steps are cleaner than 25 with guidance 5, whose pictures are grainy and too bright.
# The enlargements start from enlarged frames, noised (denoise below 1), not from noise alone: in nearly pure noise small
# errors of the guess are large errors of the picture, and the steps that follow cannot take all of that away.
SETTINGS: dict[str, Setting] = {
    "keyframes": Setting(steps=12, guidance=1.0),
    "interpolation": Setting(steps=8, guidance=1.0),
    "first-frame": Setting(steps=20, guidance=1.0, noise_level=10, denoise=0.7),
    "sr1": Setting(steps=5, guidance=1.0, noise_level=10, denoise=0.6),
    "sr2": Setting(steps=20, guidance=1.0, denoise=0.05),
}


def recipe() -> Recipe:
    """The same as a recipe of the library, with the sizes of the mini."""
    keyframes, interpolation, first, sr1, sr2 = SETTINGS.values()
    return Recipe(
        Keyframes(keyframes.steps, keyframes.guidance, height=LOW[0], width=LOW[1]),
        Interpolate(interpolation.steps, interpolation.guidance),
        FirstFrame(first.steps, first.guidance, first.noise_level, first.denoise),
        Upscale(sr1.steps, sr1.guidance, sr1.noise_level, sr1.denoise),
        Refine(sr2.steps, sr2.guidance, sr2.denoise, *HIGH))
