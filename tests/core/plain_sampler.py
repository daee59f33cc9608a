"""`sample` for the cascade by diffusers' own schedulers, in the official scale: nothing of ours but the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from show1_core.cascade import Condition, Sample
from show1_core.models.unet import UNet
from show1_core.schedule import Schedule, ddpm, dpm_solver


def plain_sample(unet: UNet, schedule: Schedule, text: Tensor, guidance: float, steps: int, denoise: float = 1.0,
                 latent_scale: float = 1.0) -> Sample:
    """Guided sampling of one stage; `text` is (2, L, D), negative first."""

    def sample(noise: Tensor, condition: Condition, start: Tensor | None, generator: torch.Generator) -> Tensor:
        predict = guided(unet, text, guidance, condition, learned=schedule.learned_variance)
        scheduler = (ddpm if schedule.solver == "ddpm" else dpm_solver)(schedule)
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps[len(scheduler.timesteps) - int(steps * denoise):]
        x = noise if start is None else scheduler.add_noise(start * latent_scale, noise, timesteps[:1])
        for timestep in timesteps:
            keywords = {"generator": generator} if schedule.solver == "ddpm" else {}
            # thresholds are per frame: frames take the batch's place
            step = scheduler.step(fold(predict(x, timestep)), timestep, fold(x), **keywords)
            x = unfold(step.prev_sample, x)
        return x / latent_scale

    return sample


def guided(unet: UNet, text: Tensor, guidance: float, condition: Condition, learned: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Classifier-free guidance; the prompt's variance channels behind the noise where the scheduler uses them."""

    def predict(x: Tensor, timestep: Tensor) -> Tensor:
        rows, channels = len(x), x.shape[1]
        given = x if condition.frames is None else torch.cat([x, condition.frames], dim=1)
        level = None if condition.noise_level is None else torch.tensor(condition.noise_level)
        out = unet(torch.cat([given, given]), timestep, text.repeat_interleave(rows, dim=0), level)
        without, with_text = out[:rows], out[rows:]
        noise = without[:, :channels] + guidance * (with_text[:, :channels] - without[:, :channels])
        return torch.cat([noise, with_text[:, channels:]], dim=1) if learned else noise

    return predict


def fold(clip: Tensor) -> Tensor:
    """(B, C, F, H, W) -> (B*F, C, H, W)"""
    return clip.transpose(1, 2).flatten(0, 1)


def unfold(frames: Tensor, like: Tensor) -> Tensor:
    """(B*F, C, H, W) -> (B, C, F, H, W)"""
    return frames.unflatten(0, (len(like), -1)).transpose(1, 2)
