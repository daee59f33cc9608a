"""What is measured: every UNet of the cascade in three sizes, with the inputs of one guided step."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "benchmarks")]

from official import OfficialUNet  # noqa: E402

from show1_core.cascade import windows  # noqa: E402
from show1_core.models.config import UNetConfig  # noqa: E402
from show1_core.models.unet import UNet  # noqa: E402
from show1_core.stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, STAGES, Stage  # noqa: E402

TOKENS, FRAMES, PAIRS = 77, 29, 7
PUBLISHED = REPO / "tests" / "data" / "published"
MINI = REPO / "models" / "show1-mini"


@dataclass(frozen=True)
class Size:
    """A cascade: what its models are, and (height, width) of keyframes, of enlarged pixels and of latents."""

    name: str
    config: Callable[[Stage], dict[str, Any]]
    keyframes: tuple[int, int]
    enlarged: tuple[int, int]
    latents: tuple[int, int]

    def sample_shape(self, stage: Stage, channels: int) -> tuple[int, ...]:
        """(B, C, F, H, W) of one step of a stage, without guidance; pairs of keyframes count as a batch."""
        shapes = {
            KEYFRAMES: (1, 8, *self.keyframes), INTERPOLATION: (PAIRS, 5, *self.keyframes), FIRST_FRAME: (1, 1, *self.enlarged),
            PIXEL_SR: (1, 8, *self.enlarged), LATENT_SR: (1, FRAMES, *self.latents)}
        batch, *rest = shapes[stage]
        return (batch, channels, *rest)


def published_config(stage: Stage) -> dict[str, Any]:
    """The config of a published checkpoint."""
    return json.loads((PUBLISHED / stage.checkpoint / "unet" / "config.json").read_text())


def mini_config(stage: Stage) -> dict[str, Any]:
    """The config of the shipped checkpoint of the same stage."""
    return json.loads((MINI / stage.name / "unet" / "config.json").read_text())


def quarter_config(stage: Stage) -> dict[str, Any]:
    """The published config with a quarter of the channels, in multiples of 32 as the temporal norms want them."""
    config = published_config(stage)
    widths = [max(32, round(width / 4 / 32) * 32) for width in config["block_out_channels"]]
    heads = config["attention_head_dim"]
    config |= {"block_out_channels": widths, "attention_head_dim": 16 if isinstance(heads, int) else [w // 32 for w in widths]}
    for name in ("cross_attention_dim", "encoder_hid_dim", "time_embedding_dim"):
        config[name] = config[name] // 4 if config.get(name) else config.get(name)
    return config


SIZES = {size.name: size for size in (
    Size("mini", mini_config, (20, 32), (80, 128), (20, 32)),
    Size("quarter", quarter_config, (40, 64), (160, 256), (40, 72)),
    Size("published", published_config, (40, 64), (160, 256), (40, 72)))}


def steps(stage: Stage) -> int:
    """Guided steps of a stage in the published run, all its windows together."""
    each = int(stage.steps * stage.denoise)
    return each * len(windows(FRAMES)) if stage is PIXEL_SR else each


@dataclass(frozen=True)
class Case:
    """One guided step of one stage, the official way and ours; both give the same numbers."""

    stage: Stage
    unet: UNet
    clip: Tensor
    text: Tensor  # (2, L, D), negative first

    def __post_init__(self) -> None:
        self.unet.eval().requires_grad_(False)

    @property
    def level(self) -> Tensor | None:
        return None if self.stage.noise_level is None else torch.tensor(self.stage.noise_level, device=self.clip.device)

    @property
    def channels(self) -> int:
        return self.unet.config.out_channels if self.stage.schedule.learned_variance else self.unet.config.sample_channels

    def ours(self) -> Callable[[], Tensor]:
        """A step as the nodes take it; the prompt is prepared beforehand, as for all steps of a run."""
        timestep = torch.tensor(500, device=self.clip.device)
        prepared = self.unet.prepare(self.text.repeat_interleave(len(self.clip), dim=0))
        return lambda: self.unet(self.clip, timestep, prepared, self.level, self.channels)

    def official(self) -> Callable[[], Tensor]:
        """A step as the official code takes it: a pair after the other, guidance as a batch of two."""
        unet = OfficialUNet.of(self.unet)
        timestep = torch.tensor(500, device=self.clip.device)

        def step() -> Tensor:
            outs = [unet(torch.cat([clip, clip]), timestep, self.text, self.level, self.channels)
                    for clip in self.clip.split(1)]  # each (2, C, F, H, W)
            return torch.stack(outs, dim=1).flatten(0, 1)

        return step


def case(size: Size, stage: Stage, device: str, dtype: torch.dtype) -> Case:
    """A stage in a size, with random weights of a sensible scale and random inputs, the same every time."""
    config = UNetConfig.from_dict(size.config(stage))
    generator = torch.Generator(device).manual_seed(0)
    unet = UNet(config, dtype, device)
    scale_weights(unet, generator)
    clip = torch.randn(size.sample_shape(stage, config.in_channels), generator=generator, device=device, dtype=dtype)
    text = torch.randn((2, TOKENS, config.text_dim), generator=generator, device=device, dtype=dtype)
    return Case(stage, unet, clip, text)


@torch.no_grad()
def scale_weights(unet: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep features at about unit scale, so that norms are no amplifiers of rounding."""
    for name, weight in unet.named_parameters():
        if weight.ndim > 1:
            weight.normal_(std=0.7 * weight[0].numel() ** -0.5, generator=generator)
        else:
            weight.normal_(mean=float(name.endswith("weight")), std=0.1, generator=generator)


__all__ = ["SIZES", "STAGES", "Case", "Size", "case", "steps"]
