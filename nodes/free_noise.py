"""The noise of long clips, for core samplers: every window of time begins from the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..show1_core.cascade import ContextWindow, noise_of_takes
from . import checks, common, host


@dataclass(frozen=True)
class FreeNoise:
    """NOISE, as core samplers ask for it."""

    first_seed: int
    window: ContextWindow

    @property
    def seed(self) -> int:
        """What samplers that draw noise in every step count from."""
        return self.first_seed % host.LARGEST_SEED

    def generate_noise(self, latent: dict[str, Any]) -> Tensor:
        """Noise (B, C, F, H, W) of a LATENT; take i of a batch has that of seed + i. Raises ValueError for what is no clip."""
        samples = checks.clips(latent)
        takes = latent.get("batch_index", range(len(samples)))  # where the batch is part of a larger one
        return noise_of_takes(samples.shape[1:], self.first_seed, takes, self.window)


class Show1FreeNoise(io.ComfyNode):
    """Noise for a clip that is sampled in windows of time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1FreeNoise", display_name="Show-1 Free Noise", category=common.CATEGORY,
            **common.search_words("FreeNoise", "random noise", "long video", "longer video", "context windows"),
            description="For SamplerCustomAdvanced and clips longer than a window of the core Context Windows: all windows begin "
                        "from the same noise, shuffled (FreeNoise), so that what is shown stays the same.",
            inputs=[
                common.seed_input(),
                io.Model.Input("model", tooltip="From the core Context Windows (Manual), dim 2, as the guider has it: the noise "
                                                "follows its windows."),
            ],
            outputs=[io.Noise.Output(display_name="noise")],
        )

    @classmethod
    def execute(cls, seed: int, model: Any) -> io.NodeOutput:
        return io.NodeOutput(FreeNoise(seed, checks.context_window(model)))
