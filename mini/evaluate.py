"""Sample the mini cascade without a host and judge it, stage by stage.

    python -m mini.evaluate models/show1-mini --tokenizer DIR --prompts 16 [--stages keyframes ...]

Prints the judge's figures after each stage, and the same with the prompts shuffled: what chance would give.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from show1_core import cascade
from show1_core.checkpoints import load_unet
from show1_core.pipeline import encoded
from show1_core.sampling import StageSampler
from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, Stage

from .export import WEIGHTS
from .grammar import judged_prompts
from .recipes import HIGH, LOW
from .settings import SETTINGS, Setting
from .t5 import TextEncoder, Tokenizer, text_recipe

STAGES = ("keyframes", "interpolation", "first-frame", "sr1", "sr2")


def benchmark(name: str) -> ModuleType:
    """A module of benchmarks/, such as the judge; they are no part of the package."""
    folder = Path(__file__).resolve().parents[1] / "benchmarks"
    if not (folder / f"{name}.py").exists():
        raise FileNotFoundError(f"{folder} has no {name}.py: it comes with the repository, not with the package")
    sys.path.insert(0, str(folder))
    return importlib.import_module(name)


class Mini:
    """The exported mini cascade, sampled by plain loops."""

    def __init__(self, folder: Path, tokenizer: Path, settings: Mapping[str, Setting] = SETTINGS) -> None:
        self.folder, self.settings = folder, settings
        self.text = self._text(Tokenizer(tokenizer))

    def _text(self, tokenizer: Tokenizer) -> TextEncoder:
        folder = self.folder / "keyframes" / "text_encoder"
        encoder = TextEncoder(text_recipe(folder), tokenizer)
        weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
        encoder.t5.load_state_dict(weights, strict=False)  # the embedding is stored once and shared
        return encoder.requires_grad_(False)

    @cached_property
    def vae(self) -> Any:
        """The autoencoder of the last stage."""
        from diffusers import AutoencoderKL

        folder = self.folder / "sr2" / "vae"
        vae: Any = AutoencoderKL.from_config(json.loads((folder / "config.json").read_text()))
        vae.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
        return vae.eval().requires_grad_(False)

    def run(self, stage: Stage, prompts: list[str]) -> StageSampler:
        """A stage's sampling for some prompts."""
        setting = self.settings[stage.name]
        states = self.text(["", *prompts])
        unet = load_unet(self.folder / stage.name)
        return StageSampler(unet, stage.schedule, states[1:], states[:1], setting.steps, setting.guidance, setting.denoise)

    def keyframes(self, prompts: list[str], seed: int) -> Tensor:
        """(P, 3, 8, H, W), all prompts as one batch."""
        noise = torch.randn((len(prompts), 3, 8, *LOW), generator=cascade.seeded(seed))
        return self.run(KEYFRAMES, prompts)(noise, cascade.Condition(), None, cascade.seeded(seed))

    def interpolation(self, clip: Tensor, prompt: str, seed: int) -> Tensor:
        """(1, 3, 29, H, W) of one prompt's keyframes."""
        return cascade.interpolate(self.run(INTERPOLATION, [prompt]), clip, seed)

    def first_frame(self, clip: Tensor, prompt: str, seed: int) -> Tensor:
        """The first frame four times as large."""
        setting = self.settings["first-frame"]
        return cascade.first_frame(self.run(FIRST_FRAME, [prompt]), clip[:, :, :1], FIRST_FRAME.schedule, setting.noise_level,
                                   seed, redraw=setting.denoise < 1)

    def pixel_sr(self, clip: Tensor, first: Tensor | None, prompt: str, seed: int) -> Tensor:
        """All frames four times as large."""
        setting = self.settings["sr1"]
        return cascade.upscale(self.run(PIXEL_SR, [prompt]), clip, first, PIXEL_SR.schedule, setting.noise_level, seed,
                               redraw=setting.denoise < 1)

    def latent_sr(self, clip: Tensor, prompt: str, seed: int, size: tuple[int, int] = HIGH) -> Tensor:
        """Frames (F, H, W, 3) in 0..1 at the final size, or at another."""
        vae = self.vae
        run = replace(self.run(LATENT_SR, [prompt]), latent_scale=vae.config.scaling_factor)

        with torch.no_grad():
            latent = cascade.refine(run, partial(encoded, vae), cascade.to_images(clip), size, seed)
            frames = vae.decode(latent[0].transpose(0, 1)).sample  # (F, 3, H, W)
        return (frames * 0.5 + 0.5).movedim(1, -1)


def mean_and_error(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean of (N,) and its standard error; N is 2 or more."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5)


def with_error(values: Sequence[float] | np.ndarray) -> str:
    """The same as text."""
    return "{:.2f} ± {:.2f}".format(*mean_and_error(values))


def to_bytes(images: Tensor) -> np.ndarray:
    """Images (F, H, W, 3) in 0..1 as uint8."""
    return (images.clamp(0, 1) * 255).to(torch.uint8).numpy()


def later_stages(mini: Mini, clip: Tensor, prompt: str, seed: int, last: str) -> dict[str, np.ndarray]:
    """Frames after each stage up to `last`, of keyframes (1, 3, 8, H, W)."""
    seen = {"keyframes": to_bytes(cascade.to_images(clip))}
    depth = STAGES.index(last)
    if depth >= 1:
        clip = mini.interpolation(clip, prompt, seed)
        seen["interpolation"] = to_bytes(cascade.to_images(clip))
    if depth >= 3:
        clip = mini.pixel_sr(clip, mini.first_frame(clip, prompt, seed), prompt, seed)
        seen["sr1"] = to_bytes(cascade.to_images(clip))
    if depth >= 4:
        seen["sr2"] = to_bytes(mini.latent_sr(clip, prompt, seed))
    return seen


def all_stages(mini: Mini, prompts: list[str], seed: int, last: str) -> dict[str, list[np.ndarray]]:
    """Frames of every prompt after each stage up to `last`."""
    clips = mini.keyframes(prompts, seed)
    found = [later_stages(mini, clip[None], prompt, seed, last) for clip, prompt in zip(clips, prompts, strict=True)]
    return {stage: [seen[stage] for seen in found] for stage in found[0]}


def main() -> None:
    """Judge the mini on some prompts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--held-out", action="store_true", help="combinations that training never saw")
    parser.add_argument("--two", action="store_true", help="prompts of two solids")
    parser.add_argument("--last", choices=STAGES, default="sr2", help="stage to stop after")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the frames, one .npy a stage and prompt")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    judge = benchmark("judge")
    prompts = judged_prompts(arguments.prompts, arguments.held_out, two=arguments.two)
    began = time.monotonic()
    for stage, clips in all_stages(Mini(arguments.folder, arguments.tokenizer), prompts, arguments.seed, arguments.last).items():
        verdicts = [judge.judge(clip) for clip in clips]
        score, control = judge.score(verdicts, prompts), judge.score(verdicts, judge.shuffled(prompts))
        print(f"{stage}: {score}; shuffled: {control}")
        if arguments.save:
            arguments.save.mkdir(parents=True, exist_ok=True)
            for prompt, clip in zip(prompts, clips, strict=True):
                np.save(arguments.save / f"{stage}-{prompt.replace(' ', '-')}.npy", clip)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
