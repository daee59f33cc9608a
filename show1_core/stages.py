"""The published recipe as data: one frozen record a stage (numerics 1)."""

from __future__ import annotations

from dataclasses import dataclass

from .schedule import Schedule


@dataclass(frozen=True)
class Stage:
    """One model of the cascade: what it is called, where it belongs, and how the official run samples it.

    `guidance` is the classifier-free guidance weight; `noise_level` the timestep to which the super-resolution
    models' condition is noised; `denoise` the part of the schedule that is run, from the end.
    """

    name: str
    title: str
    checkpoint: str
    steps: int
    guidance: float
    few_steps: int
    schedule: Schedule
    noise_level: int | None = None
    denoise: float = 1.0


KEYFRAMES = Stage(
    "keyframes", "the keyframe model", "show-1-base", steps=75, guidance=9.0, few_steps=25,
    schedule=Schedule(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, threshold_max=1.5))
INTERPOLATION = Stage(
    "interpolation", "the interpolation model", "show-1-interpolation", steps=75, guidance=4.0, few_steps=25,
    schedule=Schedule(beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1, threshold_max=1.5))
FIRST_FRAME = Stage(
    "first-frame", "the first-frame image model", "IF-II-L-v1.0", steps=70, guidance=4.0, few_steps=15,
    schedule=Schedule(beta_schedule="squaredcos_cap_v2", threshold_max=1.0, solver="ddpm", learned_variance=True),
    noise_level=150)
PIXEL_SR = Stage(
    "sr1", "the pixel super-resolution model", "show-1-sr1", steps=125, guidance=7.0, few_steps=25,
    schedule=Schedule(beta_schedule="squaredcos_cap_v2", threshold_max=1.0), noise_level=250)
LATENT_SR = Stage(
    "sr2", "the latent super-resolution model", "show-1-sr2", steps=50, guidance=15.0, few_steps=20,
    schedule=Schedule(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), denoise=0.8)

NOISING = Schedule(beta_schedule="squaredcos_cap_v2")  # of the super-resolution models' condition

STAGES = (KEYFRAMES, INTERPOLATION, FIRST_FRAME, PIXEL_SR, LATENT_SR)

KEYFRAME_FPS = 2.0
PAIR_FRAMES = 5  # frames the interpolation model makes of two keyframes, both ends included
WINDOW_FRAMES = 8  # frames the pixel super-resolution model sees at once
LATENT_FACTOR = 8  # pixels of a picture for one of its latent, along a side
REFINE_NEGATIVE_PROMPT = "low resolution, blur"
