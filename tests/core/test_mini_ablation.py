"""The ablation compares like with like, and its judge is right about rendered stills."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from mini import ablation, stills, stills_seen
from mini.recipes import HIGH, LOW, MIDDLE, VAE_RECIPE, vae_config
from mini.settings import Setting
from mini.stills import Stills, banks, latents, pixels, shrunk
from mini.tasks import build_unet, clips
from mini.world import draw
from show1_core.cascade import enlarge, to_images
from show1_core.schedule import signal_variance
from show1_core.stages import KEYFRAMES
from show1_core.tuning.objectives import noised, velocity_weight


class Text(nn.Module):
    """Stands for the text encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.states = nn.Parameter(torch.randn(1, 77, 64))

    def forward(self, prompts):
        return self.states.expand(len(prompts), -1, -1)


def autoencoder():
    """The mini's, untrained."""
    return AutoencoderKL.from_config(vae_config(VAE_RECIPE)).eval()


@pytest.fixture(scope="module")
def spaces():
    return pixels(), latents(autoencoder())


def test_both_networks_are_of_one_size_and_do_the_same_work(spaces) -> None:
    sizes = [sum(p.numel() for p in build_unet(space.recipe, 0).parameters()) for space in spaces]
    assert max(sizes) < 1.002 * min(sizes)
    assert {space.size[1:] for space in spaces} == {LOW}


def test_both_learn_the_same_stills(spaces) -> None:
    first, second = banks(spaces, 20)
    assert first.scenes == second.scenes
    assert [tuple(bank.drawn.shape) for bank in (first, second)] == [(20, *space.size) for space in spaces]


def test_frames_come_back_at_the_middle_size(spaces) -> None:
    frames = torch.zeros(2, 3, *HIGH)
    assert {tuple(space.decode(space.encode(frames)).shape) for space in spaces} == {(2, 3, *MIDDLE)}


@pytest.mark.parametrize("number", [0, 1])
def test_a_network_begins_with_its_noise_as_the_guess(spaces, number) -> None:
    """In nearly pure noise that is almost right, whatever the number of channels."""
    unet, abar = build_unet(spaces[number].recipe, seed=0), signal_variance(KEYFRAMES.schedule)
    channels = spaces[number].size[0]
    noise, late = torch.randn(4, *spaces[number].size), torch.full((4,), 990)
    guess = unet(noised(torch.zeros_like(noise), noise, late, abar), late, torch.zeros(4, 77, 64), None)[:, :channels]
    assert float((guess - noise).square().mean()) < 0.02


def test_the_text_encoder_stays_as_it_is(spaces) -> None:
    space = spaces[0]
    task = Stills(space, Text(), banks((space,), 8)[0], seed=0)
    assert not any(name.startswith("text.") for name, p in task.named_parameters() if p.requires_grad)
    weights = velocity_weight(signal_variance(KEYFRAMES.schedule), task.floor)
    assert torch.equal(task.weight, weights)
    assert torch.isfinite(task.loss(4, np.random.default_rng(0), torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("pairs", [0.0, 1.0])
def test_the_judge_is_right_about_rendered_stills(pairs: float) -> None:
    """In a still nobody moves first: the solids count by where they are. Told of other stills it is wrong."""
    data = np.random.default_rng(5)
    scenes = draw(data, 60, pairs=pairs)
    seen = stills_seen.levels(shrunk(clips(scenes, data.uniform(size=(60, 1)), HIGH)[:, :, 0], MIDDLE))
    captions = [scene.kind.caption for scene in scenes]
    assert stills_seen.judged(seen, captions)["right"] >= 0.95
    assert stills_seen.judged(seen, captions[1:] + captions[:1])["right"] <= 0.1


def test_the_table_has_means_and_errors() -> None:
    rows = {"rendered": [{"right": 1.0, "distance": 0.1}],
            "pixels alone": [{"right": 0.5, "distance": 1.0, "seconds": 1.0}, {"right": 0.7, "distance": 2.0, "seconds": 3.0}]}
    lines = stills_seen.table(rows).splitlines()
    assert "| rendered |" in lines[2] and " 100% |" in lines[2] and " ± " not in lines[2]
    assert " 60% ± 10% |" in lines[3] and " 1.500 ± 0.500 |" in lines[3] and "| 2.0 s |" in lines[3]


def test_every_way_is_trained_drawn_measured_and_found_again(tmp_path, monkeypatch) -> None:
    """From nothing to the table and the picture; a second run does none of it again."""
    for name, value in {"STILLS": 8, "PROMPTS": 2, "RENDERED": 4, "SHOWN": 1,
                        "PLAN": replace(ablation.PLAN, steps=2, batch=4)}.items():
        monkeypatch.setattr(ablation, name, value)
    monkeypatch.setattr(stills, "SAMPLING", Setting(steps=2, guidance=2.0))

    def first_frame(small: Tensor, prompt: str, seed: int) -> Tensor:
        return enlarge(small, 4)

    def latent_sr(clip: Tensor, prompt: str, seed: int, size: tuple[int, int]) -> Tensor:
        return to_images(clip)

    mini = SimpleNamespace(text=Text(), vae=autoencoder(), first_frame=first_frame, latent_sr=latent_sr)
    for fresh in (True, False):
        bench = ablation.Bench(mini, tmp_path)  # type: ignore[arg-type]
        rows = bench.compared(seeds=2)
        names = [f"{space} {way}" for space in ("pixels", "latents") for way in ("alone", "then pixels", "then latents")]
        assert [*rows] == ["rendered", "rendered, as pixels", "rendered, as latents", *names]
        assert all(len(rows[name]) == 2 and rows[name][0].keys() == stills_seen.FORMS.keys() for name in names)
        assert ("banks" in vars(bench)) is fresh
    assert rows["pixels then pixels"][0]["megabytes"] >= rows["pixels alone"][0]["megabytes"] > 0
    assert stills_seen.sheet(bench.shown()).size == (2 * MIDDLE[1], 6 * (MIDDLE[0] + stills_seen.STRIP))
    assert json.loads((tmp_path / "pixels-1" / "rows.json").read_text())["pixels alone"] == rows["pixels alone"][1]
