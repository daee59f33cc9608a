"""How much memory training of the published keyframe model takes: counted on the meta device, so without weights or a GPU.

    python benchmarks/motion_memory.py

What libraries keep for themselves while they compute is not seen.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import SIZES, TOKENS  # noqa: E402
from measure import LiveBytes  # noqa: E402

from show1_core.models.config import UNetConfig  # noqa: E402
from show1_core.models.unet import UNet  # noqa: E402
from show1_core.schedule import signal_variance  # noqa: E402
from show1_core.stages import KEYFRAMES  # noqa: E402
from show1_core.tuning import adapters, motion  # noqa: E402

HALF, FLOAT = 2, 4  # bytes of a number
COPIES = 4  # of every number that is trained, in float32: itself, two moments, the last good one; gradients are counted apart


@dataclass(frozen=True)
class Need:
    """Bytes: frozen weights in half precision, what the optimiser keeps, and the peak of features and gradients in a step."""

    weights: int
    optimiser: int
    step: int

    @property
    def together(self) -> int:
        return self.weights + self.optimiser + self.step


def need_of(rank: int, checkpointing: bool, train: str = adapters.QKV, size: str = "published") -> Need:
    """One step on 8 frames at the size of the published keyframes."""
    case = SIZES[size]
    config = UNetConfig.from_dict(case.config(KEYFRAMES))
    unet = UNet(config, torch.float16, "meta").eval().requires_grad_(False)
    shape = case.sample_shape(KEYFRAMES, config.sample_channels)
    example = motion.Example(torch.zeros(shape), torch.zeros(1, TOKENS, config.text_dim))
    made = adapters.new_adapters(unet, train, rank, 0).to(torch.device("meta"))
    network = motion.Network(unet, signal_variance(KEYFRAMES.schedule), unet.__call__, torch.float16, torch.device("meta"))
    around = motion.checkpointed(unet) if checkpointing else nullcontext()
    with torch.enable_grad(), LiveBytes() as live, adapters.attached(unet, made), around:
        motion.loss_of(network, example, motion.FRAME_COSINE, torch.Generator()).backward()
    trained = sum(parameter.numel() for parameter in made.parameters())
    return Need(sum(weight.numel() for weight in unet.parameters()) * HALF, COPIES * trained * FLOAT, live.peak)


def main() -> int:
    """The command line."""
    print("| rank | features | weights | optimiser | step | together |\n|---|---|---|---|---|---|")
    for rank in (32, 0):
        for checkpointing in (True, False):
            need = need_of(rank, checkpointing)
            values = (need.weights, need.optimiser, need.step, need.together)
            how = "computed again" if checkpointing else "kept"
            print(f"| {rank or 'whole matrices'} | {how} | " + " | ".join(f"{value / 1e9:.2f} GB" for value in values) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
