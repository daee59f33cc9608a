"""How much memory each stage needs in half precision: weights, and the features of a guided call that live at once.

    python benchmarks/memory.py [--size published]

Counted on the meta device, so neither weights nor a GPU are needed; what libraries keep for themselves is not seen.
`declared` is what the host is told, by which it decides what else may stay in memory.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import SIZES, STAGES, TOKENS, Size  # noqa: E402
from counting import CudaLayouts  # noqa: E402
from measure import LiveBytes  # noqa: E402

from show1_core.models.conditioning import PreparedText  # noqa: E402
from show1_core.models.config import UNetConfig  # noqa: E402
from show1_core.models.layout import lay_out  # noqa: E402
from show1_core.models.unet import UNet  # noqa: E402
from show1_core.stages import Stage  # noqa: E402

BYTES = 2  # of a number in half precision


@dataclass(frozen=True)
class Need:
    """Bytes of a stage: its weights, features that live at once in a call with guidance, and what is declared of these."""

    weights: int
    features: int
    declared: int


@torch.inference_mode()
def need_of(size: Size, stage: Stage) -> Need:
    """Both halves of guidance in one call, all pairs of keyframes in one batch, nothing in pieces."""
    config = UNetConfig.from_dict(size.config(stage))
    unet = UNet(config, torch.float16, "meta").eval().requires_grad_(False)
    lay_out(unet, "meta")
    sample = torch.zeros(size.sample_shape(stage, config.in_channels), dtype=torch.float16, device="meta")
    level = None if stage.noise_level is None else torch.tensor(stage.noise_level, device="meta")
    text = prepared(unet, 2, 2 * len(sample))
    with CudaLayouts(), LiveBytes(unet.parameters()) as live:
        unet(sample, torch.tensor(500, device="meta"), text, level)
    weights = sum(weight.numel() for weight in unet.parameters()) * BYTES
    pixels = text.rows * prod(sample.shape[2:])
    return Need(weights, live.peak, pixels * config.peak_elements * BYTES)


def prepared(unet: UNet, texts: int, rows: int) -> PreparedText:
    """What `UNet.prepare` makes of so many texts for so many rows; it compares them, which cannot be done on meta."""
    states = torch.zeros((texts, TOKENS, unet.config.text_dim), dtype=torch.float16, device="meta")
    pooled = None if unet.add_embedding is None else unet.add_embedding(states)
    projected = states if unet.encoder_hid_proj is None else unet.encoder_hid_proj(states)
    return PreparedText(torch.Size((rows, *states.shape[1:])), projected, pooled)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="published")
    size = SIZES[parser.parse_args().size]
    print("| stage | weights | features at once | declared | together |\n|---|---|---|---|---|")
    for stage in STAGES:
        need = need_of(size, stage)
        values = (need.weights, need.features, need.declared, need.weights + need.declared)
        print(f"| {stage.name} | " + " | ".join(f"{value / 1e9:.2f} GB" for value in values) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
