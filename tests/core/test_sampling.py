"""The plain sampler against diffusers' own schedulers, in the official scale."""

from __future__ import annotations

import pytest
import torch
from recording import error

from show1_core import sampling, stages
from show1_core.cascade import Condition
from show1_core.schedule import ddpm_scheduler, dpm_solver_scheduler

SHAPE = (2, 3, 2, 6, 8)


class Oracle(torch.nn.Module):
    """A network whose noise guess is simple and depends on everything it is told."""

    dtype = torch.float32
    config = type("Config", (), {"temporal": True, "block_out_channels": (1,), "peak_elements": 1, "takes_windows": False})()

    def prepare(self, text):
        return sampling.PreparedText(text.shape, text)

    def forward(self, sample, timestep, text, noise_level=None, channels=None):
        rows = text.rows // len(sample)
        x = sample[:, :3].repeat(rows, 1, 1, 1, 1) * 0.9
        x = x + 0.3 * text.states.mean((1, 2))[:, None, None, None, None] + 1e-4 * timestep
        return torch.cat([x, x.sin()], dim=1)[:, :channels]


def diffusers_run(schedule, noise, start, text, guidance, steps, denoise, scale, generator):
    """The same by diffusers: thresholds are per frame, so frames take the batch's place."""
    def fold(clip):
        return clip.transpose(1, 2).flatten(0, 1)

    scheduler = (ddpm_scheduler if schedule.solver == "ddpm" else dpm_solver_scheduler)(schedule)
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps[len(scheduler.timesteps) - int(steps * denoise):]
    x = noise if start is None else scheduler.add_noise(start * scale, noise, times[:1])
    for timestep in times:
        out = Oracle()(x, timestep, Oracle().prepare(text.repeat_interleave(len(x), dim=0)))
        negative, positive = out.chunk(2)
        guided = negative[:, :3] + guidance * (positive[:, :3] - negative[:, :3])
        if schedule.learned_variance:
            guided = torch.cat([guided, positive[:, 3:]], dim=1)
        keywords = {"generator": generator} if schedule.solver == "ddpm" else {}
        stepped = scheduler.step(fold(guided), timestep, fold(x), **keywords).prev_sample
        x = stepped.unflatten(0, (len(x), -1)).transpose(1, 2)
    return x / scale


@pytest.mark.parametrize("stage", stages.STAGES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("steps, denoise, started, guidance", [
    (1, 1.0, False, 9.0), (2, 1.0, False, 4.0), (14, 1.0, False, 7.0), (15, 1.0, False, 7.0), (20, 0.5, True, 4.0),
    (40, 0.8, True, 15.0), (6, 1.0, True, 1.5)])
def test_every_solver_is_diffusers(stage, steps, denoise, started, guidance):
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    start = torch.rand(SHAPE, generator=torch.Generator().manual_seed(2)) * 2 - 1 if started else None
    text = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(3))
    scale = 0.18215 if stage is stages.LATENT_SR else 1.0
    if stage.schedule.solver == "ddpm":
        noise, start = noise[:1, :, :1], None if start is None else start[:1, :, :1]
    sampler = sampling.StageSampler(Oracle(), stage.schedule, text[1:], text[:1], steps, guidance, denoise, scale)
    out = sampler(noise, Condition(), start, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    expected = diffusers_run(stage.schedule, noise, start, text, guidance, steps, denoise, scale, generator)
    assert error(out, expected) <= 2e-5


def test_every_step_is_told():
    told = []
    sampler = sampling.StageSampler(Oracle(), stages.KEYFRAMES.schedule, torch.zeros(1, 5, 4), torch.zeros(1, 5, 4), 5, 2.0,
                                    progress=lambda step, steps, clip: told.append((step, steps, tuple(clip.shape))))
    sampler(torch.zeros(SHAPE), Condition(), None, torch.Generator())
    assert told == [(step, 5, SHAPE) for step in range(5)]


def test_several_prompts_in_one_batch_are_each_their_own():
    texts, noise = torch.randn(3, 5, 4), torch.randn(4, 3, 2, 6, 8)
    def run(positive, part):
        return sampling.StageSampler(Oracle(), stages.KEYFRAMES.schedule, positive, texts[:1], 4, 3.0)(
            part, Condition(), None, torch.Generator())
    together = run(texts[1:], noise)
    assert error(together[2:], run(texts[2:], noise[2:])) <= 1e-6
