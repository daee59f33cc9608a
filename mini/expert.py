"""Compare the latent expert, trained on timesteps 0-899, with the same model trained on all 1000 (paper, figure 6).

    python -m mini.expert --tokenizer DIR [--clips 64] [--picture FILE.png]

Both redraw held-out clips, enlarged from the middle size, and are measured against the rendered originals; so are the
clips merely enlarged and merely sent through the autoencoder. Their training must have reached the same step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
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

from .evaluate import with_error
from .recipes import HIGH, LATENT_SR_UNET, LOW, MIDDLE, VAE_RECIPE
from .render import render
from .tasks import WINDOW, build_unet
from .train import Workshop, load, part
from .world import draw, frame_times

STEPS = 10
DENOISE = (0.15, 0.3, 0.5)
SEED = 5
SHOWN = 6  # clips of the picture
EDGE = 0.2  # least difference between neighbours, of 0..1


@dataclass(frozen=True)
class Sample:
    """A held-out clip: what it says, and its frames (F, H, W, 3) in 0..1 at the cascade's three sizes."""

    caption: str
    low: Tensor
    middle: Tensor
    high: Tensor


Way = Callable[[Sample], Tensor]  # frames (F, H, W, 3) of a clip at the final size


def held_out(count: int) -> list[Sample]:
    """Eight frames from the middle of clips that training never saw."""
    scenes = draw(np.random.default_rng(SEED), count, held_out=True)
    times = frame_times()[8 : 8 + WINDOW]
    sizes = [torch.from_numpy(render(scenes, times, size)) for size in (LOW, MIDDLE, HIGH)]
    return [Sample(scene.kind.caption, *frames) for scene, *frames in zip(scenes, *sizes, strict=True)]


def enlarged(frames: Tensor, size: tuple[int, int] = HIGH) -> Tensor:
    """(F, H, W, 3) at the final size, or at another, bicubic."""
    large = F.interpolate(frames.movedim(-1, 1), size=size, mode="bicubic", align_corners=False)
    return large.clamp(0, 1).movedim(1, -1)


def sharpness(frames: Tensor, original: Tensor) -> float:
    """How steep the original's edges are in (F, H, W, 3): mean step between the neighbours there, over the original's own."""
    steps, true = (torch.cat([clip.diff(dim=axis).flatten() for axis in (2, 1)]) for clip in (frames, original))
    edge = true.abs() > EDGE
    return float((steps * true.sign())[edge].mean() / true[edge].abs().mean())


def compared(frames: Tensor, original: Tensor) -> tuple[float, float]:
    """PSNR in dB and sharpness of frames (F, H, W, 3)."""
    return psnr(frames, original, peak=1.0), sharpness(frames, original)


def decoded(vae: Any, latent: Tensor) -> Tensor:
    """Latent (F, 4, h, w), unscaled, as frames (F, H, W, 3) in 0..1."""
    return (vae.decode(latent).sample * 0.5 + 0.5).clamp(0, 1).movedim(1, -1)


class Bench:
    """The two models, the autoencoder around them, and the text they read."""

    def __init__(self, shop: Workshop, stages: Sequence[str]) -> None:
        self.vae, self.text = shop.autoencoder(), shop.text()
        self.unets = {}
        for stage in stages:
            self.unets[stage] = build_unet(LATENT_SR_UNET, seed=0)
            load(self.unets[stage], part(shop.average(stage), "unet."))

    def refined(self, stage: str, sample: Sample, *, denoise: float) -> Tensor:
        """The last stage of the cascade by one of the models, without guidance."""
        states = self.text(["", sample.caption])
        run = StageSampler(self.unets[stage], LATENT_SR.schedule, states[1:], states[:1], STEPS, 1.0, denoise,
                           VAE_RECIPE.scaling_factor)
        latent = cascade.refine(run, partial(encoded, self.vae), sample.middle, HIGH, SEED)
        return decoded(self.vae, latent[0].transpose(0, 1))


def ways(bench: Bench) -> dict[str, Way]:
    """What becomes of a clip, by name: merely enlarged, merely through the autoencoder, and redrawn by each model."""
    known: dict[str, Way] = {
        "bicubic": lambda sample: enlarged(sample.middle),
        "the originals through the autoencoder": lambda sample: decoded(bench.vae, encoded(bench.vae, sample.high).mean),
    }
    for denoise in DENOISE:
        for stage in bench.unets:
            known[f"{stage}, denoise {denoise}"] = partial(bench.refined, stage, denoise=denoise)
    return known


@torch.no_grad()
def measured(way: Way, samples: Sequence[Sample]) -> tuple[np.ndarray, list[Tensor]]:
    """(N, 2): PSNR in dB and sharpness of every clip, as a share of the original's; and the first few clips for a picture."""
    rows, shown = [], []
    for sample in samples:
        frames = way(sample)
        rows.append(compared(frames, sample.high))
        shown += [frames] if len(shown) < SHOWN else []
    return np.array(rows), shown


def told(results: dict[str, np.ndarray], stages: Sequence[str]) -> str:
    """A table of the ways; below, by how much the first model is ahead of the second, clip by clip."""
    lines = ["| way | PSNR, dB | sharpness |", "|---|---|---|"]
    lines += [f"| {name} | {with_error(rows[:, 0])} | {with_error(rows[:, 1])} |" for name, rows in results.items()]
    if len(stages) == 2:
        first, second = stages
        for denoise in DENOISE:
            ahead = results[f"{first}, denoise {denoise}"] - results[f"{second}, denoise {denoise}"]
            figures = " | ".join(with_error(column) for column in ahead.T)
            lines.append(f"| {first} ahead of {second}, denoise {denoise} | {figures} |")
    return "\n".join(lines)


def sheet(clips: Sequence[list[Tensor]], samples: Sequence[Sample]) -> Any:
    """A picture: one frame of each sample a column, the original on top, one way a row."""
    from PIL import Image

    rows = [[sample.high for sample in samples], *clips]
    frames = torch.stack([torch.stack([clip[WINDOW // 2] for clip in row]) for row in rows])  # (R, N, H, W, 3)
    pixels = frames.transpose(1, 2).flatten(2, 3).flatten(0, 1)  # (R*H, N*W, 3)
    return Image.fromarray((pixels * 255).byte().numpy())


def main() -> None:
    """Print the table, and paint the picture that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    parser.add_argument("--stages", nargs="+", default=["sr2", "sr2-full"], help="folders of the trained models")
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    samples = held_out(arguments.clips)
    results, shown = {}, []
    for name, way in ways(Bench(Workshop(arguments.folder, arguments.tokenizer), arguments.stages)).items():
        results[name], frames = measured(way, samples)
        shown.append(frames)
        print(f"{name}: {with_error(results[name][:, 0])} dB", flush=True)
    print(told(results, arguments.stages))
    if arguments.picture:
        sheet(shown, samples[:SHOWN]).save(arguments.picture)


if __name__ == "__main__":
    main()
