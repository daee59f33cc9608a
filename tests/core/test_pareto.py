"""Ways to sample a stage do what they are called, and the table says of their frames what is so."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_sampling import SHAPE, Oracle

from benchmarks import pareto, ways
from benchmarks.ways import Way, WaySampler
from show1_core.cascade import Condition
from show1_core.sampling import StageSampler
from show1_core.schedule import published_sigmas
from show1_core.stages import FIRST_FRAME, KEYFRAMES, LATENT_SR, PIXEL_SR, STAGES, Stage

REPO = Path(__file__).resolve().parents[2]
SIGMAS = published_sigmas(KEYFRAMES.schedule, 20)
INFINITE = float("inf")


def sampler(stage: Stage, way: Way, guidance: float = 5.0) -> WaySampler:
    text = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(3))
    plain = StageSampler(Oracle(), stage.schedule, text[1:], text[:1], 99, guidance)  # type: ignore[arg-type]
    return WaySampler.of(plain, way)


def run(made: StageSampler) -> torch.Tensor:
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    start = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) if made.denoise < 1 else None
    return made(noise, Condition(), start, torch.Generator().manual_seed(4))


@pytest.mark.parametrize("solver, worst", [("euler", 0.3), ("dpmpp_2m", 0.03), ("heun", 0.03)])
def test_solvers_follow_the_flow_of_a_gaussian(solver: str, worst: float) -> None:
    """Whose exact end is known: all clips are normal, so the guess is x / (1 + sigma^2)."""
    sigmas = published_sigmas(KEYFRAMES.schedule, 60).tolist()
    x = torch.tensor([sigmas[0], -2 * sigmas[0]])
    exact = x * math.sqrt((1 + sigmas[-1] ** 2) / (1 + sigmas[0] ** 2))
    found = ways.SOLVERS[solver](lambda x, sigma: x / (1 + sigma**2), x, sigmas)
    assert float((found - exact).abs().max() / exact.abs().max()) < worst


@pytest.mark.parametrize("name", ways.SPACINGS)
def test_spacings_fall_between_the_published_ends(name: str) -> None:
    made = ways.SPACINGS[name](SIGMAS)
    assert len(made) == len(SIGMAS) and bool((made.diff() < 0).all())
    torch.testing.assert_close(made[[0, -1]], SIGMAS[[0, -1]], rtol=1e-5, atol=0)
    assert name == "published" or not torch.allclose(made, SIGMAS, rtol=1e-2)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("steps, denoise", [(16, 1.0), (5, 0.6)])
def test_the_published_way_is_the_samplers_own(stage: Stage, steps: int, denoise: float) -> None:
    made = sampler(stage, Way(steps, denoise))
    plain = StageSampler(made.unet, stage.schedule, made.positive, made.negative, steps, 5.0, denoise)
    torch.testing.assert_close(run(made), run(plain), rtol=1e-5, atol=1e-5)
    assert len(made.seconds) == 1


@pytest.mark.parametrize("stage, way, guidance, passes", [
    (KEYFRAMES, Way(4), 5.0, [2, 2, 2, 2]),
    (KEYFRAMES, Way(4), 1.0, [1, 1, 1, 1]),
    (KEYFRAMES, Way(4, guided=(0.0, 1.0)), 5.0, [1, 1, 1, 2]),
    (KEYFRAMES, Way(4, guided=(1.0, INFINITE)), 5.0, [2, 2, 2, 1]),
    (KEYFRAMES, Way(4, guidance=1.0), 5.0, [1, 1, 1, 1]),
    (KEYFRAMES, Way(4, guidance=5.0), 1.0, [2, 2, 2, 2]),
    (KEYFRAMES, Way(4, solver="heun"), 1.0, [1] * 7),
    (FIRST_FRAME, Way(10, 0.7), 1.0, [7]),
    (FIRST_FRAME, Way(10, 0.7, "dpmpp_2m"), 1.0, [1] * 7),
    (LATENT_SR, Way(10, 0.3), 1.0, [1] * 3),
])
def test_passes_are_counted(stage: Stage, way: Way, guidance: float, passes: list[int]) -> None:
    made = sampler(stage, way, guidance)
    assert bool(torch.isfinite(run(made)).all()) and made.passes == passes


def test_guidance_outside_of_its_interval_is_not_felt() -> None:
    never, weak = (run(sampler(PIXEL_SR, Way(6, guided=(INFINITE, 0.0)), guidance)) for guidance in (9.0, 2.0))
    assert torch.equal(never, weak)
    assert not torch.allclose(never, run(sampler(PIXEL_SR, Way(6), 9.0)))


@pytest.mark.parametrize("way, words", [
    (Way(5), "5 steps"), (Way(5, 0.6, "euler"), "5 steps, denoise 0.6, euler"),
    (Way(9, spacing="karras", guided=(0.5, INFINITE)), "9 steps, karras, guided above sigma 0.5"),
    (Way(9, dtype=torch.bfloat16), "9 steps, bf16"), (Way(9, guidance=2.5), "9 steps, guidance 2.5"),
    (Way(9, guided=(0.5, 20.0)), "9 steps, guided from sigma 20 down to 0.5")])
def test_what_a_way_is_called(way: Way, words: str) -> None:
    assert str(way) == words


def test_what_stages_are_given_is_worth_more_than_nothing_and_judged_right() -> None:
    bench = object.__new__(pareto.Bench)
    bench.frames = 29
    scene, = pareto.scenes(1)
    for stage in STAGES[1:]:
        truth, nothing = bench.truth(stage, scene), bench.nothing(stage, scene)
        assert truth.shape == nothing.shape and pareto.right(truth, scene.kind.caption)
        assert 20 < pareto.psnr([nothing], [truth]) < 60
        assert not pareto.right(np.zeros_like(truth) + truth[:, :1, :1], scene.kind.caption)


@pytest.mark.slow
def test_a_commit_beside_itself_takes_as_long() -> None:
    ran = subprocess.run([sys.executable, "benchmarks/before.py", str(REPO), "--size", "mini", "--stage", "keyframes",
                          "--times", "5"], cwd=REPO, capture_output=True, text=True, check=True)
    *_, stage, before, now, ratio, _ = (cell.strip() for cell in ran.stdout.splitlines()[-1].split("|"))
    assert stage == "keyframes" and before.endswith(" s") and now.endswith(" s") and 0.5 < float(ratio) < 2


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "benchmarks/before.py", str(tmp_path), "--size", "mini", "--stage", "keyframes"],
                         cwd=REPO, capture_output=True, text=True)
    assert ran.returncode and "give a checkout of this repository" in ran.stderr
