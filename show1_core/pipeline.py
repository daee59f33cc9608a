"""From a prompt to frames without a host: one stage's model in memory at a time, loaded when it is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from . import cascade, texts
from .checkpoints import Identity, load_unet, read_identity
from .recipe import Recipe, RecipeError
from .sampling import Progress as StepProgress
from .sampling import StageSampler
from .stages import FIRST_FRAME, INTERPOLATION, KEYFRAMES, LATENT_SR, PIXEL_SR, STAGES, Stage
from .tuning.drawing import Lora, Origin
from .weights import CheckpointError, find_weights, read_json, read_tensors

Progress = Callable[[str, int, int, Tensor], None]  # stage, step from 0, steps, the clip as it is guessed then
NEWER_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # by the names in older VAEs
OLDER_ATTENTION = re.compile(rf"(?<=\.attentions\.0\.)(?:{'|'.join(NEWER_ATTENTION)})(?=\.(?:weight|bias)$)")
NEGATIVE_PROMPT = ""  # of the pixel stages (numerics T7)


@dataclass(frozen=True)
class Result:
    """What a run has made: frames (F, H, W, 3), not clamped between the stages, `frames` in 0..1; None where not reached."""

    keyframes: Tensor | None = None
    interpolated: Tensor | None = None
    first_frame: Tensor | None = None
    upscaled: Tensor | None = None
    frames: Tensor | None = None

    @property
    def newest(self) -> Tensor:
        """The frames of the last stage that was run, in 0..1."""
        made = (self.frames, self.upscaled, self.first_frame, self.interpolated, self.keyframes)
        return next(clip for clip in made if clip is not None).clamp(0, 1)


@dataclass(frozen=True)
class Pipeline:
    """The cascade over folders of weights."""

    folders: dict[str, Path]  # of the stages, by name; without first-frame pixel super-resolution makes up its own
    t5_tokenizer: Path
    clip_tokenizer: Path
    dtype: torch.dtype = torch.float32
    device: str | torch.device = "cpu"
    loras: tuple[Lora, ...] = ()
    origin: Origin | None = None  # what keyframes begin from, beside the seed's noise

    @classmethod
    def from_folder(cls, root: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu",
                    t5_tokenizer: str | Path | None = None, clip_tokenizer: str | Path | None = None) -> Pipeline:
        """`root` holds the published folders, or keyframes/ interpolation/ first-frame/ sr1/ sr2/.

        The tokenizers are in tokenizer/ beside each text encoder, as published, or where the arguments say.
        Raises CheckpointError when a stage's folder or the T5 encoder is missing.
        """
        root = Path(root)
        folders = {stage.name: found for stage in STAGES if (found := folder_of(root, stage)) is not None}
        missing = [stage for stage in STAGES if stage.name not in folders and stage is not FIRST_FRAME]
        if missing:
            stage = missing[0]
            raise CheckpointError(f"{root} has neither {stage.checkpoint} nor {stage.name} in it; expected the folders of the "
                                  "cascade, each with its unet/.")
        base, last = folders[KEYFRAMES.name], folders[LATENT_SR.name]
        if not (base / "text_encoder").is_dir():
            raise CheckpointError(f"{base} has no text_encoder/; expected T5's encoder there, as published.")
        return cls(folders, Path(t5_tokenizer or base / "tokenizer"), Path(clip_tokenizer or last / "tokenizer"), dtype, device)

    def with_lora(self, path: str | Path, strength: float = 1.0) -> Pipeline:
        """The same with one more LoRA, on the stage that it was learnt by. Raises CheckpointError or ValueError."""
        return replace(self, loras=(*self.loras, Lora.read(Path(path), strength, self.folders)))

    def with_noise_of(self, images: Tensor, prior: float = 0.5) -> Pipeline:
        """The same with keyframes that begin from the noise of a clip (F, H, W, 3) in 0..1, `prior` of it."""
        return replace(self, origin=Origin(images, prior))

    def __call__(self, prompt: str, seed: int = 0, recipe: Recipe | None = None, stop_after: str = LATENT_SR.name,
                 progress: Progress | None = None) -> Result:
        """Run the cascade up to the stage of that name. Raises CheckpointError or ValueError, before a stage's first step."""
        if stop_after not in [stage.name for stage in STAGES]:
            raise ValueError(f"stop_after is {stop_after!r}; expected one of {', '.join(stage.name for stage in STAGES)}.")
        recipe = recipe or Recipe()
        if recipe.keyframes.frames < 2 and stop_after != KEYFRAMES.name:
            raise RecipeError(f"the recipe's keyframes.frames is {recipe.keyframes.frames}; expected 2 or more for a run up to "
                              f"{stop_after}: interpolation fills in what is between them. Or stop after keyframes.")
        if self.origin is not None:
            self.origin.check(recipe.keyframes.frames)
        return Cascade(self, prompt, seed, recipe, progress).run(stop_after)


@dataclass(frozen=True)
class Cascade:
    """One run of a pipeline."""

    pipeline: Pipeline
    prompt: str
    seed: int
    recipe: Recipe
    progress: Progress | None

    def run(self, last: str) -> Result:
        """The stages in order, up to the one called `last`."""
        states = self.pixel_states()
        order = [stage.name for stage in STAGES]
        reached = order.index(last)

        result = {"keyframes": self.keyframes(states)}  # each by a method of its own, at whose end its model goes
        if reached >= order.index(INTERPOLATION.name):
            result["interpolated"] = self.interpolated(result["keyframes"], states)
        if reached >= order.index(FIRST_FRAME.name) and FIRST_FRAME.name in self.pipeline.folders:
            result["first_frame"] = self.first_frame(result["interpolated"], states)
        if reached >= order.index(PIXEL_SR.name):
            result["upscaled"] = self.upscaled(result["interpolated"], result.get("first_frame"), states)
        images = {name: cascade.to_images(clip).cpu() for name, clip in result.items()}
        if reached >= order.index(LATENT_SR.name):
            images["frames"] = self.refined(images["upscaled"], states)
        return Result(**images)

    def keyframes(self, states: Tensor) -> Tensor:
        """The first stage: a small clip of few frames."""
        made = self.recipe.keyframes
        size = cascade.VideoSize(made.frames, made.height, made.width)
        sample = self.sampler(KEYFRAMES, states, made.steps, made.guidance)
        return cascade.keyframes(sample, size, self.seed, noise=self.noise(sample, size))

    def interpolated(self, clip: Tensor, states: Tensor) -> Tensor:
        """Keyframes with three frames between neighbours."""
        made = self.recipe.interpolate
        return cascade.interpolate(self.sampler(INTERPOLATION, states, made.steps, made.guidance), clip, self.seed)

    def noise(self, sample: StageSampler, size: cascade.VideoSize) -> Tensor | None:
        """What keyframes begin from where it is a clip's own noise, found with what was learnt as VMC does; else None."""
        origin = self.pipeline.origin
        return None if origin is None else origin.noise(sample, size, self.seed, self.told("noise of the clip"))

    def first_frame(self, clip: Tensor, states: Tensor) -> Tensor:
        """The first frame of a clip, four times as large."""
        made = self.recipe.first_frame
        sample = self.sampler(FIRST_FRAME, states, made.steps, made.guidance, made.strength)
        return cascade.first_frame(sample, clip[:, :, :1], self.identity(FIRST_FRAME).noising, made.noise_level, self.seed,
                                   redraw=made.strength < 1)

    def upscaled(self, clip: Tensor, first: Tensor | None, states: Tensor) -> Tensor:
        """All frames of a clip, four times as large."""
        made = self.recipe.upscale
        sample = self.sampler(PIXEL_SR, states, made.steps, made.guidance, made.strength)
        return cascade.upscale(sample, clip, first, self.identity(PIXEL_SR).noising, made.noise_level, self.seed,
                               redraw=made.strength < 1)

    def refined(self, images: Tensor, states: Tensor) -> Tensor:
        """The last stage: frames (F, H, W, 3) in 0..1 at their final size."""
        made, pipeline = self.recipe.refine, self.pipeline
        vae = load_vae(pipeline.folders[LATENT_SR.name] / "vae").to(pipeline.device)  # float32, as published (force_upcast)
        sample = self.sampler(LATENT_SR, self.latent_states(states), made.steps, made.guidance, made.strength,
                              self.identity(LATENT_SR).latent_scale)
        latent = cascade.refine(sample, lambda frames: encoded(vae, frames), images, (made.height, made.width), self.seed)
        del sample  # and with it the stage's model: what is left is the VAE's work
        with torch.no_grad():  # a frame at a time: the same numbers in a fraction of the memory
            frames = [vae.decode(frame[None]).sample.cpu() for frame in cascade.as_frames(latent)]
        return rearrange(torch.cat(frames) * 0.5 + 0.5, "f c h w -> f h w c").clamp(0, 1)

    def identity(self, stage: Stage) -> Identity:
        """What a stage's folder says."""
        return read_identity(self.pipeline.folders[stage.name])

    def sampler(self, stage: Stage, states: Tensor, steps: int, guidance: float, denoise: float = 1.0,
                latent_scale: float = 1.0) -> StageSampler:
        """A stage's model, loaded, with the texts (2, L, D), negative first; it goes when the sampler goes."""
        pipeline = self.pipeline
        unet, identity = load_unet(pipeline.folders[stage.name], pipeline.dtype, pipeline.device), self.identity(stage)
        for lora in pipeline.loras:
            if lora.stage is stage:
                lora.put_on(unet, identity)
        return StageSampler(unet, identity.schedule, states[1:], states[:1], steps, guidance, denoise, latent_scale,
                            self.told(stage.name))

    def told(self, what: str) -> StepProgress:
        """Progress of one part of the run."""
        def tell(step: int, steps: int, denoised: Tensor) -> None:
            if self.progress is not None:
                self.progress(what, step, steps, denoised)
        return tell

    def pixel_states(self) -> Tensor:
        """The pixel stages' texts (2, 77, D), negative first."""
        pipeline = self.pipeline
        return texts.encode_t5(pipeline.folders[KEYFRAMES.name] / "text_encoder", pipeline.t5_tokenizer,
                               [NEGATIVE_PROMPT, self.prompt], pipeline.dtype, pipeline.device)

    def latent_states(self, pixel_states: Tensor) -> Tensor:
        """The latent stage's texts (2, 77, D), negative first; without a CLIP of its own it reads the pixel stages' text."""
        pipeline = self.pipeline
        folder = pipeline.folders[LATENT_SR.name] / "text_encoder"
        if not folder.is_dir():
            return pixel_states
        return texts.encode_clip(folder, pipeline.clip_tokenizer, [self.recipe.refine_negative_prompt, self.prompt],
                                 pipeline.dtype, pipeline.device)


def folder_of(root: Path, stage: Stage) -> Path | None:
    """A stage's folder under its published name, or under the stage's own."""
    return next((root / name for name in (stage.checkpoint, stage.name) if (root / name / "unet").is_dir()), None)


def load_vae(folder: Path) -> Any:
    """diffusers' AutoencoderKL of a published vae/ folder. Raises CheckpointError when it is not whole."""
    from diffusers import AutoencoderKL

    vae: Any = AutoencoderKL.from_config(read_json(folder / "config.json"))
    tensors = in_newer_names(read_tensors(find_weights(folder, "diffusion_pytorch_model")))
    missing, unexpected = vae.load_state_dict(tensors, strict=False)
    if missing or unexpected:
        raise CheckpointError(f"{folder} is no whole VAE: {len(missing)} tensors missing, {len(unexpected)} too many; download "
                              "it again.")
    return vae.float().eval().requires_grad_(False)


def in_newer_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors with diffusers' names of today for its attention's layers, which older files have others for."""
    return {OLDER_ATTENTION.sub(lambda found: NEWER_ATTENTION[found[0]], name): tensor for name, tensor in tensors.items()}


@torch.no_grad()
def encoded(vae: Any, images: Tensor) -> cascade.Encoded:
    """The posterior of frames (F, H, W, 3) in 0..1, a frame at a time."""
    frames = rearrange(images * 2 - 1, "f h w c -> f c h w").to(vae.device)
    posteriors = [vae.encode(frame[None]).latent_dist for frame in frames]
    return cascade.Encoded(torch.cat([p.mean for p in posteriors]), torch.cat([p.std for p in posteriors]))
