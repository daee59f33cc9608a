"""What each diffusion stage learns from: batches of rendered clips turned into its objective."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import numpy as np
import torch
from torch import Tensor, nn

from show1_core import cascade
from show1_core.models.config import UNetConfig
from show1_core.models.unet import UNet
from show1_core.schedule import signal_variance
from show1_core.stages import FIRST_FRAME, LATENT_SR, PIXEL_SR
from show1_core.stages import KEYFRAMES as KEYFRAME_STAGE
from show1_core.tuning import objectives as goal

from . import operations
from .binding import Binding
from .grammar import caption
from .recipes import LOW, MIDDLE, UNetRecipe, unet_config
from .render import render
from .start import pass_noise_on, quiet_time
from .t5 import TextEncoder
from .world import FRAMES, KEYFRAMES, Scene, draw, frame_times, keyframe_times

PAIRS = 0.25  # of the clips show two solids
MANY_PAIRS = 0.65  # where two solids are learnt to be told apart
BINDING_WEIGHT = 0.02
TEXT_DROPPED = 0.1  # of the samples learn without text, for classifier-free guidance
FIRST_DROPPED = 0.3  # of the super-resolution samples learn without a clean first frame
NOISE_LEVELS = 100  # conditions of super-resolution are noised to a random level below
VARIANCE_WEIGHT = 0.01
WEIGHT_FLOOR = 0.0005
BLEND_FLOOR = 0.01  # of the interpolation: it has to learn early in a run to trust the keyframes
GUIDED_FLOOR = 0.1  # where a picture is given, the noisy end decides little
WINDOW = 8
Window = tuple[EllipsisType, slice, slice]
CROP = (32, 48)  # rows and columns of the patches super-resolution learns from, at its large size


def build_unet(recipe: UNetRecipe, seed: int) -> UNet:
    """A fresh UNet of a recipe. In eval mode throughout: the temporal layers' dropout is of no use to a model this small."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet(UNetConfig.from_dict(unet_config(recipe)), operations=operations).eval()
    quiet_time(unet)
    if recipe.stage in (FIRST_FRAME, PIXEL_SR):  # the condition is nearly the picture: what differs from it is the noise
        pass_noise_on(unet, channels=3, anchor=0.1, condition=3)
    else:
        pass_noise_on(unet, channels=recipe.in_channels if recipe.stage in (KEYFRAME_STAGE, LATENT_SR) else 3)
    return unet


def clips(scenes: Sequence[Scene], times: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Rendered scenes as (B, 3, F, H, W) in [-1, 1]."""
    return torch.from_numpy(render(scenes, times, size)).permute(0, 4, 1, 2, 3).contiguous() * 2 - 1


def gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise in the shape and the place of `like`, the same on every device."""
    return torch.randn(like.shape, generator=generator).to(like.device)


def spans(data: np.random.Generator, count: int, length: int, step: int = 1) -> np.ndarray:
    """(count, length) times of `length` neighbouring frames, each row starting at a random multiple of `step` frames."""
    starts = step * data.integers(0, (FRAMES - length) // step + 1, size=count)
    return frame_times()[starts[:, None] + np.arange(length)]


class DiffusionTask(nn.Module):
    """What all diffusion stages share: a UNet, a text encoder, a noise schedule."""

    floor = WEIGHT_FLOOR

    def __init__(self, recipe: UNetRecipe, text: TextEncoder, seed: int = 0) -> None:
        super().__init__()
        self.recipe = recipe
        self.unet = build_unet(recipe, seed)
        self.text = text.requires_grad_(False)
        self.register_buffer("abar", signal_variance(recipe.stage.schedule), persistent=False)
        self.register_buffer("weight", goal.velocity_weight(self.abar, self.floor), persistent=False)

    abar: Tensor
    weight: Tensor

    @property
    def device(self) -> torch.device:
        """Where the model lies, and where its batches go."""
        return self.abar.device

    def timesteps(self, count: int, noise: torch.Generator, last: int = 1000, late: float = 0.0) -> Tensor:
        """(count,) timesteps where the model lies; see `objectives.timesteps`."""
        return goal.timesteps(count, noise, last, late).to(self.device)

    def describe(self, captions: Sequence[str], data: np.random.Generator) -> Tensor:
        """Text states (B, 77, D) of the captions, some of them emptied."""
        keep = torch.from_numpy(data.uniform(size=len(captions)) >= TEXT_DROPPED).to(self.device)
        states = self.text(["", *captions])
        return goal.drop_text(states[1:], states[:1], keep)

    def captions(self, scenes: Sequence[Scene], data: np.random.Generator) -> list[str]:
        """A caption a scene."""
        return [caption(data, scene.kind) for scene in scenes]

    def predict(self, sample: Tensor, timestep: Tensor, text: Tensor, level: Tensor | None = None) -> Tensor:
        """The UNet's output in float32."""
        with operations.cheap_products(sample.device):
            return self.unet(sample, timestep, text, level).float()


class TextToFrames(DiffusionTask):
    """What the image and the keyframe model share: frames from noise and a caption. The text encoder learns along."""

    late = 0.5  # share of the timesteps from the last tenth
    pairs = PAIRS

    def __init__(self, recipe: UNetRecipe, text: TextEncoder, seed: int = 0) -> None:
        super().__init__(recipe, text, seed)
        self.text.requires_grad_(True)

    def error(self, clean: Tensor, scenes: Sequence[Scene], data: np.random.Generator, noise: torch.Generator) -> Tensor:
        """The weighted error of the noise guess (paper eq. 5) for clean frames of some scenes."""
        timestep = self.timesteps(len(clean), noise, late=self.late)
        epsilon = gaussian(clean, noise)
        text = self.describe(self.captions(scenes, data), data)
        prediction = self.predict(goal.noised(clean, epsilon, timestep, self.abar), timestep, text)
        return goal.noise_prediction(prediction, epsilon, self.weight[timestep])


class Images(TextToFrames):
    """Single frames of clips, for the spatial layers of the keyframe model.

    A frame costs a twentieth of a clip to learn from, and most of what a prompt says can be learnt from frames.
    """

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        scenes = draw(data, batch, pairs=self.pairs)
        clean = clips(scenes, data.uniform(size=(batch, 1)), LOW)[:, :, 0].to(self.device)  # (B, 3, H, W)
        return self.error(clean, scenes, data, noise)


class Keyframes(TextToFrames):
    """Stage 1: eight frames."""

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        scenes = draw(data, batch, pairs=self.pairs)
        return self.error(clips(scenes, keyframe_times(), LOW).to(self.device), scenes, data, noise)


class TwoSolids(TextToFrames):
    """Goes on from a finished stage: mostly two solids, and the text encoder is asked which words belong together."""

    pairs = MANY_PAIRS

    def __init__(self, recipe: UNetRecipe, text: TextEncoder, seed: int = 0) -> None:
        super().__init__(recipe, text, seed)
        self.binding = Binding(text)

    def error(self, clean: Tensor, scenes: Sequence[Scene], data: np.random.Generator, noise: torch.Generator) -> Tensor:
        binding = self.binding.loss(self.text, [scene.kind for scene in scenes], data)
        return super().error(clean, scenes, data, noise) + BINDING_WEIGHT * binding


class ImagePairs(TwoSolids, Images):
    """The image stage with two solids told apart."""


class KeyframePairs(TwoSolids, Keyframes):
    """The keyframe stage with two solids told apart."""


class Interpolation(DiffusionTask):
    """Stage 2 (paper eq. 6): three frames between two keyframes, from [x_t, z, m]."""

    floor = BLEND_FLOOR
    late = 0.3  # share of the timesteps from the last tenth

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        scenes = draw(data, batch, pairs=PAIRS)
        clean = clips(scenes, spans(data, batch, 5, (FRAMES - 1) // (KEYFRAMES - 1)), LOW).to(self.device)
        condition = cascade.pair_condition(clean[:, :, [0, -1]])
        timestep = self.timesteps(batch, noise, late=self.late)
        epsilon = gaussian(clean, noise)
        sample = torch.cat([goal.noised(clean, epsilon, timestep, self.abar), condition], dim=1)
        prediction = self.predict(sample, timestep, self.describe(self.captions(scenes, data), data))
        return goal.noise_prediction(prediction, epsilon, self.weight[timestep])


class SuperResolution(DiffusionTask):
    """What stages 3a and 3 share: patches of a clip at both sizes, the small one enlarged and noised."""

    floor = GUIDED_FLOOR

    def pair(self, scenes: Sequence[Scene], times: np.ndarray, data: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Large frames and the enlarged small ones, the same patch of both: (B, 3, F, h, w) each."""
        large = clips(scenes, times, MIDDLE)
        condition = cascade.enlarge(clips(scenes, times, LOW), MIDDLE[0] // LOW[0])
        window = self.window(condition, data)
        return large[window].to(self.device), condition[window].to(self.device)

    def window(self, condition: Tensor, data: np.random.Generator) -> Window:
        """Where the patch lies: anywhere. It begins at a pixel of the small frames."""
        top, left = (int(data.integers(0, (size - part) // 4 + 1)) * 4 for size, part in zip(MIDDLE, CROP, strict=True))
        return ..., slice(top, top + CROP[0]), slice(left, left + CROP[1])


class FirstFrame(SuperResolution):
    """Stage 3a: one frame four times as large (numerics 2.6); the variance channels learn their own divergence."""

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        scenes = draw(data, batch, pairs=PAIRS)
        large, condition = (clip[:, :, 0] for clip in self.pair(scenes, spans(data, batch, 1), data))  # (B, 3, h, w)
        level = torch.from_numpy(data.integers(0, NOISE_LEVELS, batch)).to(self.device)
        timestep = self.timesteps(batch, noise)
        epsilon = gaussian(large, noise)
        noisy = goal.noised(large, epsilon, timestep, self.abar)
        given = goal.noised(condition, gaussian(large, noise), level, self.abar)
        text = self.describe(self.captions(scenes, data), data)
        prediction = self.predict(torch.cat([noisy, given], dim=1), timestep, text, level)
        spread = goal.learned_variance(prediction, noisy, large, timestep, self.abar)
        return goal.noise_prediction(prediction, epsilon, self.weight[timestep]) + VARIANCE_WEIGHT * spread


class PixelSR(SuperResolution):
    """Stage 3: eight frames four times as large, mostly given the first of them (numerics 2.5, T11)."""

    def loss(self, batch: int, data: np.random.Generator, noise: torch.Generator) -> Tensor:
        scenes = draw(data, batch, pairs=PAIRS)
        large, condition = self.pair(scenes, spans(data, batch, WINDOW), data)
        level = torch.from_numpy(data.integers(0, NOISE_LEVELS, batch)).to(self.device)
        known = torch.from_numpy(data.uniform(size=batch) >= FIRST_DROPPED).to(self.device)
        timestep = self.timesteps(batch, noise)
        epsilon = gaussian(large, noise)
        given = goal.noised(condition, gaussian(large, noise), level, self.abar)
        given = goal.with_first_frame(given, large[:, :, :1], known)
        sample = torch.cat([goal.noised(large, epsilon, timestep, self.abar), given], dim=1)
        prediction = self.predict(sample, timestep, self.describe(self.captions(scenes, data), data), level)
        return goal.noise_prediction(prediction, epsilon, self.weight[timestep])
