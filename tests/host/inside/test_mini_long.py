"""The stages of the template "Longer video" at its full length, 64 keyframes and 253 frames, with the mini: memory stays bounded.

One step each and small frames, for what is looked at is the process's peak memory, stage by stage, against that of 29 frames.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

MINI = Path(__file__).resolve().parents[3] / "models" / "show1-mini"
PROCESS = Path("/proc/self")
PUBLISHED = ("published", "published")
WIDTH, HEIGHT, SEED = 16, 8, 5  # of the keyframes
MEGABYTE = 2**20
SHORT, LONG = 8, 64  # keyframes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (PROCESS / "clear_refs").exists(), reason="Linux tells a process's peak")]


def bytes_of(line: str) -> int:
    """A size from the process's status: VmRSS now, VmHWM at most so far."""
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(text.split()[1]) * 1024 for text in lines if text.startswith(line))


def in_windows(model: Any, length: int, overlap: int) -> Any:
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(model, length, overlap, "standard_static", 1, False, "pyramid", 2).args[0]


@pytest.fixture(scope="module")
def run(pack, mini, mini_text) -> Callable[[int], dict[str, int]]:
    """Bytes that each stage takes at most above what was there before the first, for so many keyframes."""
    host, weights, text = pack("nodes.host"), pack("show1_core.weights"), mini_text("a red ball moving right")
    vae = host.load_vae(weights.read_tensors(weights.find_weights(MINI / "sr2" / "vae", "diffusion_pytorch_model")),
                        weights.read_json(MINI / "sr2" / "vae" / "config.json"))
    sizes = [factor * side for factor in (1, 8) for side in (WIDTH, HEIGHT)]

    def run(count: int) -> dict[str, int]:
        before, peaks = bytes_of("VmRSS"), {}

        def stage(part: str, node: str, model: Any, *arguments: Any, **more: Any) -> Tensor:
            (PROCESS / "clear_refs").write_text("5")  # forgets the peak
            with torch.inference_mode():
                out = getattr(pack(f"nodes.{part}"), node).execute(model, *arguments, *PUBLISHED, **more).args[0]
            peaks[node] = bytes_of("VmHWM") - before
            return out

        base, last = in_windows(mini("keyframes"), 8, 4), in_windows(mini("sr2"), 29, 8)
        clip = stage("keyframes", "Show1KeyframeSampler", base, *text, SEED, 1, 5.0, count, *sizes[:2], free_noise=True)
        clip = stage("interpolation", "Show1Interpolator", mini("interpolation"), *text, clip, SEED, 1, 1.0)
        first = stage("pixel_sr", "Show1FirstFrameSR", mini("first-frame"), *text, clip[:1], SEED, 2, 1.0, 10)
        clip = stage("pixel_sr", "Show1PixelSR", mini("sr1"), *text, clip, SEED, 1, 1.0, 10, first_frame=first)
        clip = stage("latent_sr", "Show1LatentSR", last, vae, *text, clip, SEED, 7, 1.0, 0.15, *sizes[2:])
        assert clip.shape == (4 * count - 3, sizes[3], sizes[2], 3)
        return peaks

    return run


def test_time_grows_with_a_longer_clip_and_memory_does_not(run) -> None:
    run(SHORT)  # libraries keep room of their own from the first call on
    short, long = run(SHORT), run(LONG)
    for node, peak in long.items():
        print(f"{node}: {short[node] / MEGABYTE:.0f} MB for {4 * SHORT - 3} frames, {peak / MEGABYTE:.0f} MB for {4 * LONG - 3}")
    assert max(long.values()) < max(short.values()) + 150 * MEGABYTE
