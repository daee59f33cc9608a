"""The networks called the way the official code calls them: what every ratio is measured against.

Same blocks, same weights, eager reference functions; the habits that cost time are put back in: the prompt repeated for
every frame and projected anew in every layer and call, time projected for every frame, both halves of guidance computed
from the first layer on, 3-D convolutions over time, all output channels, and pairs of keyframes one after the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from show1_core.kernels import use_backend  # noqa: E402
from show1_core.kernels.registry import EAGER  # noqa: E402
from show1_core.models.conditioning import PreparedText, for_rows, per_frame  # noqa: E402
from show1_core.models.unet import UNet  # noqa: E402


class OfficialUNet(UNet):
    """A UNet with the official code's habits (numerics 3.2, 5); numbers and weights are those of `UNet`."""

    @classmethod
    def of(cls, unet: UNet) -> OfficialUNet:
        """The official way over the very weights of `unet`, on the meta device until they are shared."""
        official = cls(unet.config, unet.dtype, "meta")
        official.load_state_dict(unet.state_dict(), assign=True)
        return official.eval().requires_grad_(False)

    def prepare(self, text: Tensor) -> PreparedText:
        """The text as it is: nothing is kept from call to call."""
        return PreparedText(text.shape, text)

    def forward(self, sample: Tensor, timestep: Tensor, text: Tensor | PreparedText, noise_level: Tensor | None = None,
                channels: int | None = None) -> Tensor:
        """As `UNet.forward`; a sample for each text, nothing kept, all channels computed whatever is asked for."""
        text = text.states if isinstance(text, PreparedText) else text
        frames = sample.shape[2] if sample.ndim == 5 else 1
        with use_backend(EAGER):
            pooled = None if self.add_embedding is None else self.add_embedding(text)
            states = text if self.encoder_hid_proj is None else self.encoder_hid_proj(text)
            repeated = PreparedText(text.shape, per_frame(states, frames), pooled)
            out = super().forward(for_rows(sample, len(text)), timestep, repeated, noise_level)
        return out[:, :channels]
