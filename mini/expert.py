"""Compare the latent expert, trained on timesteps 0-899, with the same model trained on all 1000 (paper, figure 6).

    python -m mini.expert --tokenizer DIR [--clips 16] [--picture FILE.png]

Both redraw held-out clips, enlarged from the middle size, and are measured against the rendered originals; so are the
clips merely enlarged and merely sent through the autoencoder. Their training must have reached the same step.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from show1_core import cascade
from show1_core.pipeline import encoded
from show1_core.sampling import StageSampler
from show1_core.stages import LATENT_SR
from show1_core.tuning.objectives import psnr

from .recipes import HIGH, LATENT_SR_UNET, MIDDLE, VAE_RECIPE
from .render import render
from .tasks import WINDOW, build_unet
from .train import Workshop, load, part
from .world import draw, frame_times

STEPS = 20
DENOISE = (0.3, 0.5, 0.8)
SEED = 5
EDGE = 0.2  # least difference between neighbours, of 0..1


@dataclass(frozen=True)
class Sample:
    """A held-out clip: what it says, and its frames (F, H, W, 3) in 0..1 at the middle and at the final size."""

    caption: str
    middle: Tensor
    high: Tensor


def held_out(count: int) -> list[Sample]:
    """Eight frames from the middle of clips that training never saw."""
    scenes = draw(np.random.default_rng(SEED), count, held_out=True)
    times = frame_times()[8 : 8 + WINDOW]
    middle, high = (torch.from_numpy(render(scenes, times, size)) for size in (MIDDLE, HIGH))
    return [Sample(scene.kind.caption, small, large) for scene, small, large in zip(scenes, middle, high, strict=True)]


def enlarged(frames: Tensor) -> Tensor:
    """(F, H, W, 3) at the final size, bicubic."""
    large = F.interpolate(frames.movedim(-1, 1), size=HIGH, mode="bicubic", align_corners=False)
    return large.clamp(0, 1).movedim(1, -1)


def sharpness(frames: Tensor, original: Tensor) -> float:
    """How steep the original's edges are in (F, H, W, 3): mean step between the neighbours there, over the original's own."""
    steps, true = (torch.cat([clip.diff(dim=axis).flatten() for axis in (2, 1)]) for clip in (frames, original))
    edge = true.abs() > EDGE
    return float((steps * true.sign())[edge].mean() / true[edge].abs().mean())


class Bench:
    """The two models, the autoencoder around them, and the text they read."""

    def __init__(self, shop: Workshop, stages: Sequence[str]) -> None:
        self.vae, self.text = shop.autoencoder(), shop.text()
        self.unets = {}
        for stage in stages:
            self.unets[stage] = build_unet(LATENT_SR_UNET, seed=0)
            load(self.unets[stage], part(shop.average(stage), "unet."))

    def decode(self, latent: Tensor) -> Tensor:
        """Latent (F, 4, h, w), unscaled, as frames (F, H, W, 3) in 0..1."""
        return (self.vae.decode(latent).sample * 0.5 + 0.5).clamp(0, 1).movedim(1, -1)

    def refined(self, stage: str, sample: Sample, denoise: float) -> Tensor:
        """The last stage of the cascade by one of the models, without guidance."""
        states = self.text(["", sample.caption])
        run = StageSampler(self.unets[stage], LATENT_SR.schedule, states[1:], states[:1], STEPS, 1.0, denoise,
                           VAE_RECIPE.scaling_factor)
        latent = cascade.refine(run, partial(encoded, self.vae), sample.middle, HIGH, SEED)
        return self.decode(latent[0].transpose(0, 1))


def figures(results: Sequence[Tensor], samples: Sequence[Sample]) -> str:
    """Mean PSNR in dB, and sharpness as a share of the originals'."""
    distance = np.mean([psnr(result, sample.high, peak=1.0) for result, sample in zip(results, samples, strict=True)])
    sharp = np.mean([sharpness(result, sample.high) for result, sample in zip(results, samples, strict=True)])
    return f"{distance:.2f} dB, sharpness {sharp:.3f}"


@torch.no_grad()
def compare(bench: Bench, samples: Sequence[Sample]) -> dict[str, list[Tensor]]:
    """Frames of every sample by every way, in the order they are told."""
    ways = {"bicubic": [enlarged(sample.middle) for sample in samples],
            "the originals through the autoencoder": [bench.decode(encoded(bench.vae, sample.high).mean) for sample in samples]}
    for denoise in DENOISE:
        for stage in bench.unets:
            ways[f"{stage}, denoise {denoise}"] = [bench.refined(stage, sample, denoise) for sample in samples]
    return ways


def sheet(ways: dict[str, list[Tensor]], samples: Sequence[Sample]) -> Any:
    """A picture: one frame of each sample a column, the original on top, one way a row."""
    from PIL import Image

    rows = [[sample.high for sample in samples], *(clips[: len(samples)] for clips in ways.values())]
    frames = torch.stack([torch.stack([clip[WINDOW // 2] for clip in row]) for row in rows])  # (R, N, H, W, 3)
    pixels = frames.transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (R*H, N*W, 3)
    return Image.fromarray((pixels * 255).byte().numpy())


def main() -> None:
    """Print the figures, and paint the picture that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    parser.add_argument("--stages", nargs="+", default=["sr2", "sr2-full"], help="folders of the trained models")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    samples = held_out(arguments.clips)
    ways = compare(Bench(Workshop(arguments.folder, arguments.tokenizer), arguments.stages), samples)
    for name, results in ways.items():
        print(f"{name}: {figures(results, samples)}")
    if arguments.picture:
        sheet(ways, samples[:6]).save(arguments.picture)


if __name__ == "__main__":
    main()
