"""What a node refuses before any work starts, each in one sentence: what came in, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..show1_core.cascade import ContextWindow, to_clip
from ..show1_core.checkpoints import Identity
from ..show1_core.stages import STAGES, Stage
from . import host
from .titles import title_of


def choice(name: str, value: Any, options: Sequence[str]) -> None:
    """Raises ValueError for what a combo does not offer: hosts may let a workflow's own value, or a null, pass."""
    if value not in options:
        raise ValueError(unknown(name, value, options))


def unknown(name: str, value: Any, options: Sequence[str]) -> str:
    """The sentence for what a combo does not offer."""
    return f"{name} {str(value)[:80]!r} is unknown here; expected one of {', '.join(options)}."


def of_this_pack(model: Any, expected: str = "one of Show-1") -> Identity:
    """What a MODEL is, when it is one of ours. Raises ValueError."""
    identity = host.identity_of(model)
    if identity is None:
        raise ValueError(f"model is a {host.kind_of(model)} model; expected {expected}, loaded with Show-1 Model Loader.")
    return identity


def stage_model(model: Any, stage: Stage) -> Identity:
    """What a MODEL is, when it is the stage's. Raises ValueError naming what it is and where it belongs."""
    right = f"{stage.title} ({stage.checkpoint})"
    identity = of_this_pack(model, right)
    if identity.stage is not stage:
        raise ValueError(f"model is {identity.stage.title} ({identity.source.name}), which belongs in "
                         f"{title_of(identity.stage)}; expected {right}.")
    return identity


def latent_vae(vae: Any) -> None:
    """Raises ValueError for a VAE that the latent stage cannot take."""
    if not host.has_posterior(vae):
        raise ValueError("vae is not of Stable Diffusion 1's kind (four latent channels); expected show-1-sr2/vae from "
                         "Show-1 VAE Loader, or an SD 1.x VAE from the core Load VAE.")


def context_window(model: Any) -> ContextWindow:
    """The windows of time that a MODEL is sampled in. Raises ValueError when it has none."""
    window = host.context_window(model)
    if window is None:
        raise ValueError("the model has no windows of time, which free noise is for; put the core Context Windows (Manual) "
                         "before this node, with dim 2, or do without free noise.")
    return window


def text(conditioning: Any, name: str, identity: Identity) -> None:
    """CONDITIONING of the width the model was trained with, and no frames with it. Raises ValueError."""
    if any(host.has_frames(values) for _, values in conditioning):
        raise ValueError(f"{name} carries frames for a core sampler, from Show-1 Interpolation or Pixel SR Conditioning; "
                         f"{title_of(identity.stage)} takes the text alone, from before that node.")
    width, expected = conditioning[0][0].shape[-1], identity.config.text_dim
    if width != expected:
        encoder = "CLIP Text Encode with the text encoder of show-1-sr2" if identity.stage is STAGES[-1] else "Show-1 T5 Encode"
        raise ValueError(f"{name} is text of width {width}; {identity.stage.title} ({identity.source.name}) takes {expected}. "
                         f"Encode the prompt with {encoder}.")


def frames(images: Tensor | None, name: str, minimum: int = 1, multiple: int = 1) -> Tensor:
    """IMAGE (F, H, W, 3), finite, alpha dropped. Raises ValueError for what the stage cannot take."""
    if images is None:
        raise ValueError(f"{name} is nothing: the node it comes from gave no picture, as Show-1 Given Frames gives none for an "
                         "end that has none; link it to frames.")
    if images.ndim != 4 or images.shape[-1] not in (3, 4):
        raise ValueError(f"{name} has shape {tuple(images.shape)}; expected frames of height, width and 3 colours.")
    count, height, width, _ = images.shape
    if count < minimum:
        raise ValueError(f"{name} has {counted(count, 'frame')}; expected at least {minimum}.")
    size(height, width, multiple, name)
    if not bool(torch.isfinite(images).all()):
        raise ValueError(f"{name} holds NaN or infinity; look at the node it comes from.")
    return images[..., :3]


def noise(latent: Any, start: Tensor | None) -> Tensor | None:
    """Noise (1, 3, F, H, W) of a LATENT, of the size of `start` if there is one. Raises ValueError for any other."""
    if latent is None:
        return None
    given = latent["samples"]
    if given.ndim != 5 or tuple(given.shape[:2]) != (1, 3) or not bool(torch.isfinite(given).all()):
        raise ValueError(f"noise has shape {tuple(given.shape)}; expected finite numbers of (1, 3, frames, height, width), from "
                         "Show-1 Invert.")
    if start is not None and start.shape != given.shape:
        raise ValueError(f"noise is of {described(given)} and images of {described(start)}; give both one size.")
    return given


def clips(latent: Any) -> Tensor:
    """The clips (B, C, F, H, W) of a LATENT. Raises ValueError when it holds no frames in time."""
    samples = latent["samples"]
    if not isinstance(samples, Tensor) or samples.ndim != 5 or not samples.numel():
        held = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else "several parts"
        raise ValueError(f"the latent has {held}, which is no clip; expected (batch, channels, frames, "
                         "height, width), as Show-1 Empty Pixel Latent gives it.")
    return samples


def described(clip: Tensor) -> str:
    """A clip's size in words."""
    return f"{counted(clip.shape[2], 'frame')} of {clip.shape[4]}x{clip.shape[3]}"


def takes(images: Tensor, length: int) -> list[Tensor]:
    """IMAGE of several takes, one after the other, as takes of `length` frames. Raises ValueError."""
    count, rest = divmod(len(images), length)
    if rest or not count:
        raise ValueError(f"images has {counted(len(images), 'frame')}, which is no number of takes of {length}; set frames as "
                         "on Show-1 Keyframe Drafts.")
    return list(images.split(length))


def counted(count: int, noun: str) -> str:
    """1 frame, 2 frames."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def size(height: int, width: int, multiple: int, name: str) -> None:
    """Height and width a UNet can halve. Raises ValueError naming a size that fits."""
    if height < multiple or width < multiple or height % multiple or width % multiple:
        near = "x".join(str(max(round(side / multiple), 1) * multiple) for side in (width, height))
        raise ValueError(f"{name} is {width}x{height}; expected width and height in multiples of {multiple}, such as {near}.")


def enlarged_frame(image: Any, clip: Tensor, name: str) -> Tensor | None:
    """The input of this name, a frame at four times the clip's size, (1, 3, 1, 4H, 4W). Raises ValueError for any other size."""
    if image is None:
        return None
    frame = to_clip(frames(image[:1], name))
    height, width = (4 * side for side in clip.shape[-2:])
    if tuple(frame.shape[-2:]) != (height, width):
        raise ValueError(f"{name} is {frame.shape[-1]}x{frame.shape[-2]}; expected four times images, {width}x{height}. "
                         "Resize it, or take Show-1 First Frame SR.")
    return frame
