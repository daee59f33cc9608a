"""What a call needs in memory is what is told to the host: live tensors on the meta device, in the published sizes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from show1_core.memory import Call, Device, decide
from show1_core.models.config import UNetConfig
from show1_core.models.layout import lay_out
from show1_core.models.unet import UNet
from show1_core.stages import LATENT_SR, STAGES, Stage

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
GIGABYTE = 1e9
MOST = 8 * GIGABYTE  # for the whole published cascade, without its text encoder


@pytest.fixture(scope="module")
def memory() -> ModuleType:
    sys.path.append(str(BENCHMARKS))
    try:
        return importlib.import_module("memory")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("size", ["published", "mini"])
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_the_declared_peak_holds_and_is_not_far_off(memory: ModuleType, size: str, stage: Stage) -> None:
    need = memory.need_of(memory.SIZES[size], stage)
    assert need.features <= need.declared <= 2.1 * need.features


@pytest.mark.slow
@pytest.mark.parametrize("free, frames", [(4, None), (1.5, 48)])
def test_a_long_clip_of_the_last_stage_keeps_within_what_is_free(memory: ModuleType, free: float, frames: int | None) -> None:
    """120 frames of 576x320 beside the weights: in chunks, and where these have no room, in windows of time."""
    config, half = UNetConfig.from_dict(memory.SIZES["published"].config(LATENT_SR)), {"dtype": torch.float16, "device": "meta"}
    with torch.inference_mode():
        unet = UNet(config, **half).eval()
        lay_out(unet, "meta")
        clip, text = torch.zeros(1, 4, 120, 40, 72, **half), memory.prepared(unet, 2, 2)
        call = Call(unet, clip, torch.tensor(500, device="meta"), text, takes_windows=config.takes_windows)
        level = decide(unet, call, Device(lambda: int(free * GIGABYTE)))
        with memory.CudaLayouts(), memory.LiveBytes(unet.parameters()) as live:
            call.at(level)
    assert level.frames == frames and live.peak < free * GIGABYTE


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_half_precision_fits_into_eight_gigabytes(memory: ModuleType, stage: Stage) -> None:
    need = memory.need_of(memory.SIZES["published"], stage)
    assert need.weights + need.declared < MOST


def test_what_lives_is_counted_and_what_died_is_not(memory: ModuleType) -> None:
    def call() -> torch.Tensor:
        x = torch.zeros(1000, device="meta")
        x = x + 1  # two at once
        return x.view(10, 100)[:5] * 2  # and half of one

    with memory.LiveBytes() as live:
        call()
    assert live.peak == 8000
