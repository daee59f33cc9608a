"""The five UNets of Show-1 as one class: three pixel video models, one pixel image model, one latent video model."""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..kernels import group_norm
from ..kernels.group_norm import activated
from ..kernels.requirements import resident
from .blocks import DownBlock, MidBlock, UpBlock
from .chunks import by_rows
from .conditioning import Conditioning, Patches, PreparedText, for_rows, per_frame, without_repeats
from .config import UNetConfig
from .embeddings import PooledTextEmbedding, TimestepEmbedding, sinusoid
from .temporal import TemporalTransformer, fold_frames


class UNet(nn.Module):
    """Predicts the noise in a clip (numerics 3.2). State-dict names are those of the published checkpoints.

    `operations` is where every layer with weights is taken from (`torch.nn`, or a host's own module of the
    same names); `dtype` and `device` are handed to each of them.
    """

    growth = 8  # bytes of the first features, of those of the sample

    def __init__(self, config: UNetConfig, dtype: torch.dtype | None = None, device: torch.device | str | None = None,
                 operations: ModuleType | Any = torch.nn) -> None:
        super().__init__()
        self.config, self.dtype = config, dtype or torch.get_default_dtype()
        where: dict[str, Any] = {"dtype": dtype, "device": device}
        ops, first = operations, config.block_out_channels[0]
        time_dim = config.time_embedding_dim
        self.conv_in = ops.Conv2d(config.in_channels, first, 3, padding=1, **where)
        self.time_embedding = TimestepEmbedding(first, time_dim, config.activation, ops, **where)
        self.class_embedding = (
            TimestepEmbedding(first, time_dim, config.activation, ops, **where) if config.takes_noise_level else None)
        self.encoder_hid_proj = (
            ops.Linear(config.encoder_hid_dim, config.cross_attention_dim, **where) if config.encoder_hid_dim else None)
        self.add_embedding = (
            PooledTextEmbedding(config.text_dim, time_dim, config.pooled_text_heads, ops, **where)
            if config.pooled_text_heads else None)
        # 8 heads of 64 whatever the channels (numerics T17)
        self.transformer_in = TemporalTransformer(first, 8, 64, 32, ops, **where) if config.transformer_in else None
        self.down_blocks = nn.ModuleList(DownBlock(level, config, ops, **where) for level in config.down_levels())
        self.mid_block = MidBlock(config.mid_level(), config, ops, **where)
        self.up_blocks = nn.ModuleList(UpBlock(level, config, ops, **where) for level in config.up_levels())
        self.conv_norm_out = ops.GroupNorm(config.norm_groups, first, eps=config.norm_eps, **where)
        self.conv_out = ops.Conv2d(first, config.out_channels, 3, padding=1, **where)

    def forward(self, sample: Tensor, timestep: Tensor, text: Tensor | PreparedText, noise_level: Tensor | None = None,
                channels: int | None = None, patches: Patches | None = None) -> Tensor:
        """One call of the network.

        sample: (B, C, F, H, W); images (B, C, H, W). The image model takes clips too, each frame on its own.
        timestep: () or (B,), 0..999; text: (R*B, L, D) encoder states, padding included, or what `prepare` made of
        them; with R > 1 every sample is seen under R texts, all of them under the first, then under the next;
        noise_level: () or (B,), 0..999, for the super-resolution models; channels: how many are wanted, None for all;
        patches: what the caller does inside.
        Returns (R*B, channels, ...) as `sample`. Raises ValueError for shapes the network cannot take.
        """
        self._check(sample, text, noise_level)
        text = text if isinstance(text, PreparedText) else self.prepare(text)
        clip = sample if sample.ndim == 5 else sample.unsqueeze(2)  # (B, C, F, H, W)
        frames = clip.shape[2]
        if text.seen is not None and text.seen.shape[1] != frames:
            raise ValueError(f"text over time is for {text.seen.shape[1]} frames; the sample has {frames}.")
        conditioning = Conditioning(self._time(clip, timestep, text, noise_level), text, frames, patches)

        x = by_rows(self.conv_in, fold_frames(clip), growth=self.growth)  # (B*F, C0, H, W)
        if self.transformer_in is not None:
            x = self.transformer_in(x, frames)
        x = for_rows(x, len(conditioning.time))  # before it is kept: the last layer would copy what it is joined with
        skips = [x]
        for block in self.down_blocks:
            skips += block(x, conditioning)
            x = skips[-1]
        x = self.mid_block(x, conditioning)
        for block in self.up_blocks:
            mine = [skips.pop() for _ in cast(UpBlock, block).resnets]
            x = block(x, mine, conditioning, (skips or mine)[-1].shape[-2:])
        wanted = self.config.out_channels if channels is None else channels
        x = by_rows(lambda part: self._last_layers(part, wanted), x)
        return rearrange(x, "(n f) c h w -> n c f h w", f=frames).reshape(text.rows, -1, *sample.shape[2:])

    def prepare(self, text: Tensor) -> PreparedText:
        """Text states (B, L, D) for many calls: what depends on them and the weights alone is not done again.

        Raises ValueError for text of another width.
        """
        shape = tuple(text.shape)
        if text.ndim != 3 or shape[2] != self.config.text_dim:
            raise ValueError(f"text has shape {shape}; this UNet takes ({shape[0]}, tokens, {self.config.text_dim}).")
        return self._prepared(text, without_repeats(text))

    def prepare_each(self, texts: Tensor) -> PreparedText:
        """Text states (U, L, D), of which each frame sees one: `.under(seen)` of this says which, equal ones counted too."""
        return self._prepared(texts, texts)

    def _prepared(self, text: Tensor, states: Tensor) -> PreparedText:
        pooled = None if self.add_embedding is None else self.add_embedding(states)
        projected = states if self.encoder_hid_proj is None else self.encoder_hid_proj(states)
        return PreparedText(text.shape, projected, pooled)

    def _time(self, clip: Tensor, timestep: Tensor, text: PreparedText, noise_level: Tensor | None) -> Tensor:
        """Timestep, noise level and pooled text as one vector a frame, activated: (B*F, T), or (R*B*F, T) with pooled text."""
        channels, frames = self.config.block_out_channels[0], clip.shape[2]

        def embed(numbers: Tensor, layers: nn.Module) -> Tensor:
            numbers = torch.as_tensor(numbers, device=clip.device).expand(len(clip))
            return layers(sinusoid(numbers, channels).to(clip.dtype))

        time = embed(timestep, self.time_embedding)
        if self.class_embedding is not None and noise_level is not None:
            time = time + embed(noise_level, self.class_embedding)
        if text.pooled is not None:
            if text.seen is not None:
                time, frames = per_frame(time, frames), 1
            rows = text.rows * (clip.shape[2] // frames)
            time = for_rows(time, rows) + text.spread(text.pooled, rows)
        if self.config.time_embedding_act is not None:
            time = activated(time, self.config.time_embedding_act)
        return per_frame(time if self.config.skip_time_act else activated(time, self.config.activation), frames)

    def _last_layers(self, x: Tensor, channels: int) -> Tensor:
        """Features to the first output channels; filters nobody asks for rest where their weights lie ready."""
        x, conv = group_norm(x, self.conv_norm_out, self.config.activation), self.conv_out
        if channels == self.config.out_channels or resident("conv")({"x": x, "conv": conv}) is not None:
            return conv(x)[:, :channels]
        return F.conv2d(x, conv.weight[:channels], conv.bias[:channels], padding=1)

    def _check(self, sample: Tensor, text: Tensor | PreparedText, noise_level: Tensor | None) -> None:
        config, shape, states = self.config, tuple(sample.shape), tuple(text.shape)
        if sample.ndim not in (4, 5) or (config.temporal and sample.ndim == 4) or shape[1] != config.in_channels:
            expected = "(B, C, F, H, W)" if config.temporal else "(B, C, H, W)"
            raise ValueError(f"sample has shape {shape}; this UNet takes {expected} with C = {config.in_channels}.")
        if shape[-1] % config.size_multiple or shape[-2] % config.size_multiple:
            raise ValueError(f"sample is {shape[-1]}x{shape[-2]}; this UNet halves its input several times over, so width and "
                             f"height must be multiples of {config.size_multiple}.")
        if states[0] % shape[0]:
            raise ValueError(f"text has shape {states}; this UNet takes ({shape[0]}, tokens, {config.text_dim}).")
        if (noise_level is not None) != config.takes_noise_level:
            raise ValueError("this UNet needs a noise_level, its input carries added noise." if config.takes_noise_level
                             else "this UNet has no noise level input; call it without noise_level.")

