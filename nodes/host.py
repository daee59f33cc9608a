"""The only file that knows ComfyUI's internals: its models, samplers, text encoders, VAE, folders, progress.

Everything is composed from the host's own extension points; what differs between hosts is asked for, not assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comfy.conds
import comfy.k_diffusion.sampling
import comfy.latent_formats
import comfy.model_base
import comfy.model_management as mm
import comfy.model_patcher
import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.genmo
import comfy.text_encoders.sd2_clip
import comfy.text_encoders.sd3_clip
import comfy.utils
import folder_paths
import latent_preview
import node_helpers
import torch
from comfy import sd1_clip
from torch import Tensor

from ..show1_core import schedule as schedules
from ..show1_core.cascade import Condition, Encoded, Sample
from ..show1_core.checkpoints import RECORD, Checkpoint, Identity, record_tensor
from ..show1_core.ddpm import VarianceTap, sample_ddpm
from ..show1_core.kernels.registry import use_backend
from ..show1_core.models.unet import UNet
from ..show1_core.text_encoders import is_t5, t5_numbers
from .run import Run

PACK = Path(__file__).resolve().parents[1]
SAMPLERS: list[str] = ["published", *comfy.samplers.KSampler.SAMPLERS]
SCHEDULERS: list[str] = ["published", *comfy.samplers.KSampler.SCHEDULERS]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "fp8_e4m3fn": torch.float8_e4m3fn}
NOISE_LEVEL, VARIANCE = "show1_noise_level", "show1_variance"


def register_folders() -> None:
    """Let the host look for Show-1 checkpoints in `models/show1`, and wherever the user's paths say."""
    folder_paths.add_model_folder_path("show1", str(Path(folder_paths.models_dir) / "show1"), is_default=True)
    folder_paths.folder_names_and_paths["show1"][1].update(folder_paths.supported_pt_extensions)


def folders(kind: str) -> list[Path]:
    """Where files of a kind lie, such as `text_encoders`; for `show1` the checkpoints that ship with the pack too."""
    shipped = [PACK / "models"] if kind == "show1" else []
    return [*map(Path, folder_paths.get_folder_paths(kind)), *shipped]


def files(kind: str) -> dict[str, Path]:
    """The host's list of files of a kind, by name."""
    return {name: Path(folder_paths.get_full_path_or_raise(kind, name)) for name in folder_paths.get_filename_list(kind)}


class PixelFormat(comfy.latent_formats.LatentFormat):
    """Clips in pixel space: three channels, shown as they are."""

    latent_channels = 3
    latent_dimensions = 3
    latent_rgb_factors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


class HostUNet(UNet):
    """Our UNet under the host's calling convention; learned variance goes to whoever asked for it."""

    backend = "auto"  # which kernels may serve

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, transformer_options: dict[str, Any],
                noise_level: Tensor | None = None, **_: Any) -> Tensor:
        if self.config.temporal and x.ndim == 4:  # a batch of pictures is one clip for each half of guidance
            halves = len(transformer_options["cond_or_uncond"])
            frames = len(x) // halves
            clips = x.unflatten(0, (halves, frames)).transpose(1, 2)  # (halves, C, F, h, w)
            out = self.forward(clips, timesteps[::frames], context[::frames], transformer_options, noise_level)
            return out.transpose(1, 2).flatten(0, 1)
        with use_backend(self.backend):
            out, channels = super().forward(x, timesteps, context, noise_level), self.config.sample_channels
        if VARIANCE in transformer_options:
            transformer_options[VARIANCE].store(out[:, channels:], transformer_options["cond_or_uncond"])
        return out[:, :channels]


class HostModel(comfy.model_base.BaseModel):
    """A Show-1 UNet as the host's model: text, frames and noise level are ordinary conditioning."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        conds = super().extra_conds(**kwargs)
        if NOISE_LEVEL in kwargs:
            conds["noise_level"] = comfy.conds.CONDRegular(torch.tensor([kwargs[NOISE_LEVEL]]))
        return conds

    def state_dict_for_saving(self, *others: Any, **named: Any) -> dict[str, Tensor]:
        return {**super().state_dict_for_saving(*others, **named), RECORD: record_tensor(self.show1)}


def load_model(checkpoint: Checkpoint, dtype: str, kernels: str = "auto") -> Any:
    """A native MODEL of a checkpoint: placed, cast and streamed by the host. `dtype` is auto or one of DTYPES."""
    identity, first = checkpoint.identity, next(iter(checkpoint.tensors.values()))
    device, parameters = mm.get_torch_device(), comfy.utils.calculate_parameters(checkpoint.tensors)
    config = comfy.supported_models_base.BASE({})
    config.unet_config = {"config": identity.config}  # what UNet is made with, beside dtype, device and operations
    supported = list(config.supported_inference_dtypes)
    storage = mm.unet_dtype(device, parameters, supported, first.dtype) if dtype == "auto" else DTYPES[dtype]
    config.set_inference_dtype(storage, mm.unet_manual_cast(storage, device, supported))
    latents = identity.config.sample_channels == 4
    config.latent_format = comfy.latent_formats.SD15(identity.latent_scale) if latents else PixelFormat()
    model = HostModel(config, device=mm.unet_offload_device(), unet_model=HostUNet)
    model.model_sampling.set_sigmas(schedules.sigma_table(identity.schedule))
    model.load_model_weights(dict(checkpoint.tensors), "")
    model.show1, model.diffusion_model.backend = identity, kernels
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    loaded = patcher(model, load_device=device, offload_device=mm.unet_offload_device())
    if identity.schedule.threshold_max is not None:  # part of the model, so that core samplers apply it too
        loaded.set_model_sampler_post_cfg_function(partial(threshold, identity.schedule))
    return loaded


def identity_of(model: Any) -> Identity | None:
    """What a MODEL was loaded from; None when it is none of ours."""
    return getattr(model.model, "show1", None)


def kind_of(model: Any) -> str:
    """The host's name for the kind of a MODEL, such as `SDXL`."""
    return type(model.model.model_config).__name__


def host_sample(run: Run, progress: Callable[[int, Tensor, Tensor, int], None]) -> Sample:
    """`sample` for the cascade, run by the host's samplers; a stage calls it once a window."""
    schedule: schedules.Schedule = run.model.model.show1.schedule

    def sample(noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        model = run.model.clone()
        sigmas = sigmas_of(run, schedule)
        ddpm = run.sampler_name == "published" and schedule.solver == "ddpm"
        sampler = ddpm_sampler(run, schedule, generator, model) if ddpm else sampler_of(run)
        if start is None and float(sigmas[0]) < 0.9999 * float(model.model.model_sampling.sigma_max):
            # below its largest sigma the host starts from sigma * noise; pure noise at this timestep is a little more
            noise = noise / (schedules.signal_scale(float(sigmas[0])) * sigmas[0])
        clip = comfy.sample.sample_custom(
            model, noise, run.cfg, sampler, sigmas, conditioned(run.positive, condition), conditioned(run.negative, condition),
            torch.zeros_like(noise) if start is None else start, callback=progress,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=run.seed)
        if not bool(torch.isfinite(clip).all()):
            dtype = model.model.manual_cast_dtype or model.model.get_dtype()
            raise RuntimeError(f"{model.model.show1.stage.title} made values that are no numbers, computing in {dtype}; "
                               "load it with dtype bf16 or fp32.")
        return clip * schedules.signal_scale(float(sigmas[-1]))

    return sample


def sigmas_of(run: Run, schedule: schedules.Schedule) -> Tensor:
    """The sigmas the user's scheduler gives, falling; `denoise` keeps their last part, in each scheduler's own way."""
    if run.scheduler == "published":
        return schedules.published_sigmas(schedule, run.steps, run.denoise)
    steps = run.steps if run.denoise > 0.9999 else int(run.steps / run.denoise)
    sampling = run.model.get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, run.scheduler, steps)[-(run.steps + 1):].cpu()


def sampler_of(run: Run) -> Any:
    """The host's sampler of that name; `published` is DPM-Solver++(2M), with a first-order end in short runs."""
    if run.sampler_name != "published":
        return comfy.samplers.sampler_object(run.sampler_name)
    if run.scheduler == "published" and schedules.ends_first_order(run.steps):
        return comfy.samplers.KSAMPLER(dpmpp_2m_first_order_end)
    return comfy.samplers.sampler_object("dpmpp_2m")


def dpmpp_2m_first_order_end(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, callback: Any = None,
                             disable: Any = None) -> Tensor:
    """DPM-Solver++(2M) whose last update is of first order, which in sigma space is an Euler step (SPEC 2.8)."""
    last = len(sigmas) - 2
    x = comfy.k_diffusion.sampling.sample_dpmpp_2m(model, x, sigmas[:-1], extra_args, callback, disable)
    end = None if callback is None else lambda state: callback({**state, "i": last})
    return comfy.k_diffusion.sampling.sample_euler(model, x, sigmas[-2:], extra_args, end, disable)


def ddpm_sampler(run: Run, schedule: schedules.Schedule, generator: torch.Generator, model: Any) -> Any:
    """The image model's sampler; `model` is made to hand its variance channels over."""
    tap = VarianceTap()
    model.model_options["transformer_options"][VARIANCE] = tap
    timesteps = schedules.published_timesteps(schedule, run.steps, run.denoise)
    return comfy.samplers.KSAMPLER(partial(
        sample_ddpm, schedule=schedule, timesteps=timesteps, steps=run.steps, tap=tap, generator=generator))


def threshold(schedule: schedules.Schedule, args: dict[str, Any]) -> Tensor:
    """Dynamic thresholding as a post-CFG function."""
    return schedules.dynamic_threshold(args["denoised"], schedule.threshold_ratio, schedule.threshold_max)


def conditioned(conditioning: Any, condition: Condition) -> Any:
    """CONDITIONING with the stage's frames and noise level added."""
    values = {"noise_concat": condition.frames, NOISE_LEVEL: condition.noise_level}
    return node_helpers.conditioning_set_values(conditioning, {k: v for k, v in values.items() if v is not None})


def progress_bar(total: int) -> Any:
    """The host's progress bar; every update of it also looks whether the user has cancelled."""
    return comfy.utils.ProgressBar(total)


def previewer(model: Any) -> Any:
    """The host's previewer for a MODEL; None when the user wants no previews."""
    return latent_preview.get_previewer(model.load_device, model.model.latent_format)


def load_text(tensors: dict[str, Tensor], config: dict[str, Any] | None) -> Any:
    """A CLIP of a text encoder: T5 with its attention mask on (SPEC T9), or the CLIP of the latent stage.

    `config` is a published config.json; a CLIP without one is what the host recognises. Raises ValueError when weights
    are missing, or are no text encoder's.
    """
    if is_t5(tensors):
        target = comfy.supported_models_base.ClipTarget(
            comfy.text_encoders.genmo.MochiT5Tokenizer,
            comfy.text_encoders.genmo.mochi_te(**comfy.text_encoders.sd3_clip.t5_xxl_detect(tensors)))
        return load_clip(target, tensors, {"t5xxl_model_config": t5_numbers(tensors)})
    if config is None:
        return comfy.sd.load_text_encoder_state_dicts([dict(tensors)], clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)
    # all its layers, then the final norm, padded with token 0 (SPEC 1.6)
    encoder = partial(sd1_clip.SDClipModel, layer="last", textmodel_json_config=config,
                      special_tokens={"start": 49406, "end": 49407, "pad": 0})
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.sd2_clip.SD2Tokenizer, comfy.text_encoders.sd2_clip.SD2ClipModel)
    projection = {"text_projection.weight": torch.eye(config["hidden_size"])}
    return load_clip(target, {**projection, **tensors}, {"clip_h_class": encoder})


def load_clip(target: Any, tensors: dict[str, Tensor], options: dict[str, Any]) -> Any:
    """The host's CLIP object around an encoder. Raises ValueError when weights are missing."""
    clip = comfy.sd.CLIP(target, parameters=comfy.utils.calculate_parameters(tensors), model_options=options)
    missing, _ = clip.load_sd(tensors)
    if missing:
        raise ValueError(f"the text encoder lacks {len(missing)} tensors (such as {missing[0]}); download it again.")
    return clip


def masked_t5(clip: Any) -> Any:
    """The T5 tokenizer inside a CLIP whose encoder uses the attention mask; None for every other CLIP."""
    encoder = getattr(clip.cond_stage_model, "t5xxl", None)
    tokenizer = getattr(clip.tokenizer, "clip_t5xxl", None)
    return tokenizer.tokenizer if tokenizer is not None and getattr(encoder, "enable_attention_masks", False) else None


def encode_t5(clip: Any, ids: list[int]) -> Any:
    """CONDITIONING of T5 token ids, padding included."""
    cond = clip.encode_from_tokens({"t5xxl": [[(token, 1.0) for token in ids]]}, return_dict=True)["cond"]
    return [[cond, {}]]


def load_vae(tensors: dict[str, Tensor], config: dict[str, Any]) -> Any:
    """A VAE of a published `vae/` folder of any width. Raises ValueError for other than four levels."""
    channels = config["block_out_channels"]
    if len(channels) != 4:
        raise ValueError(f"the VAE has {len(channels)} levels; expected 4, which make a latent an eighth of the picture's size.")
    coder = {
        "double_z": True, "z_channels": config["latent_channels"], "resolution": 256, "in_channels": 3, "out_ch": 3,
        "ch": channels[0], "ch_mult": [width // channels[0] for width in channels], "num_res_blocks": config["layers_per_block"],
        "attn_resolutions": [], "dropout": 0.0}
    vae = comfy.sd.VAE(sd=dict(tensors), config={"params": {"ddconfig": coder, "embed_dim": config["latent_channels"]}})
    for norm in vae.first_stage_model.modules():
        if isinstance(norm, torch.nn.GroupNorm):  # the host builds them with 32 groups, whatever the config says
            norm.num_groups = config.get("norm_num_groups", 32)
    return vae


def has_posterior(vae: Any) -> bool:
    """Whether a VAE is one of Stable Diffusion's kind, with a Gaussian posterior over four channels."""
    return hasattr(vae.first_stage_model, "quant_conv") and vae.latent_channels == 4 and vae.latent_dim == 2


def encode_posterior(vae: Any, images: Tensor) -> Encoded:
    """Mean and standard deviation of each frame's latent (F, C, h, w), by the host's own batching and tiling."""
    view, model = copy(vae), vae.first_stage_model  # the VAE as it is before it takes the posterior's mode
    view.first_stage_model = SimpleNamespace(encode=lambda pixels: model.quant_conv(model.encoder(pixels)))
    view.latent_channels = 2 * vae.latent_channels
    mean, log_variance = view.encode(images).chunk(2, dim=1)
    return Encoded(mean, (0.5 * log_variance.clamp(-30.0, 20.0)).exp())


def decode(vae: Any, latent: Tensor) -> Tensor:
    """Latent (1, C, F, h, w) -> IMAGE (F, H, W, 3), clamped by the host."""
    return vae.decode(latent[0].transpose(0, 1))
