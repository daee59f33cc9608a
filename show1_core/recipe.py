"""How a run of the whole cascade is made: steps, guidance, sizes, noise levels; by default the published run (numerics 1)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from .stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, REFINE_NEGATIVE_PROMPT

Part = TypeVar("Part")
LARGEST = sys.float_info.max  # which infinity and NaN are not within
# least and most of what a run can have, by the name of a field in any stage
RANGES = {"steps": (1, 1000), "guidance": (0, LARGEST), "frames": (1, LARGEST), "height": (1, LARGEST), "width": (1, LARGEST),
          "noise_level": (0, 999), "strength": (0, 1)}


class RecipeError(ValueError):
    """A recipe with a value that no run can have, in one sentence."""


@dataclass(frozen=True)
class Keyframes:
    """Stage 1; height and width in pixels."""

    steps: int = KEYFRAMES.steps
    guidance: float = KEYFRAMES.guidance
    frames: int = 8
    height: int = 40
    width: int = 64


@dataclass(frozen=True)
class Interpolate:
    """Stage 2."""

    steps: int = INTERPOLATION.steps
    guidance: float = INTERPOLATION.guidance


@dataclass(frozen=True)
class FirstFrame:
    """Stage 3a; noise_level is a timestep, 0..999; with a strength below 1 the enlarged frame is redrawn in part."""

    steps: int = FIRST_FRAME.steps
    guidance: float = FIRST_FRAME.guidance
    noise_level: int = FIRST_FRAME.noise_level or 0
    strength: float = FIRST_FRAME.denoise


@dataclass(frozen=True)
class Upscale:
    """Stage 3; noise_level is a timestep, 0..999; with a strength below 1 the enlarged frames are redrawn in part."""

    steps: int = PIXEL_SR.steps
    guidance: float = PIXEL_SR.guidance
    noise_level: int = PIXEL_SR.noise_level or 0
    strength: float = PIXEL_SR.denoise


@dataclass(frozen=True)
class Refine:
    """Stage 4; height and width in pixels; strength is the part of the schedule that is run, 0..1."""

    steps: int = LATENT_SR.steps
    guidance: float = LATENT_SR.guidance
    strength: float = LATENT_SR.denoise
    height: int = 320
    width: int = 576


@dataclass(frozen=True)
class Recipe:
    """One run of the cascade, stage by stage."""

    keyframes: Keyframes = field(default_factory=Keyframes)
    interpolate: Interpolate = field(default_factory=Interpolate)
    first_frame: FirstFrame = field(default_factory=FirstFrame)
    upscale: Upscale = field(default_factory=Upscale)
    refine: Refine = field(default_factory=Refine)
    refine_negative_prompt: str = REFINE_NEGATIVE_PROMPT

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Recipe:
        """A recipe from JSON, a table for each stage; what is missing is as published, keys of no stage are ignored.

        Raises RecipeError for values of the wrong kind, or that no run can have.
        """
        parts = {"keyframes": Keyframes, "interpolate": Interpolate, "first_frame": FirstFrame, "upscale": Upscale,
                 "refine": Refine}
        made: dict[str, Any] = {name: part_of(kind, name, record.get(name, {})) for name, kind in parts.items()}
        negative = record.get("refine_negative_prompt", REFINE_NEGATIVE_PROMPT)
        if not isinstance(negative, str):
            raise RecipeError(f"the recipe's refine_negative_prompt is {negative!r}; expected a text.")
        return cls(**made, refine_negative_prompt=negative)


def part_of(kind: type[Part], name: str, values: Any) -> Part:
    """One stage's table. Raises RecipeError."""
    if not isinstance(values, Mapping):
        raise RecipeError(f"the recipe's {name} is {values!r}; expected a table such as {{\"steps\": 20}}.")
    defaults = kind()
    given: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        whole = isinstance(getattr(defaults, entry.name), int)
        value = values.get(entry.name, getattr(defaults, entry.name))
        least, most = RANGES[entry.name]
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not least <= value <= most:
            raise RecipeError(f"the recipe's {name}.{entry.name} is {value!r}; expected {'a whole' if whole else 'a'} number "
                              f"from {least} {'on' if most == LARGEST else f'to {most}'}.")
        given[entry.name] = value
    if "strength" in given and not int(given["steps"] * given["strength"]):
        raise RecipeError(f"the recipe's {name} has {given['steps']} steps and strength {given['strength']:g}; expected a "
                          "strength that leaves at least one step.")
    return kind(**given)
