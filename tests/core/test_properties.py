"""What holds for every input, tried with inputs that a machine thinks of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from show1_core import captions, cascade, schedule
from show1_core.checkpoints import assemble
from show1_core.models.chunks import by_rows, chunk_bytes
from show1_core.stages import STAGES, WINDOW_FRAMES, Stage
from show1_core.weights import CheckpointError

# the same examples every time, on machines of any speed
TRIED = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(TRIED, max_examples=30)
STEPS, PART = some.integers(1, 1000), some.floats(0, 1)


@TRIED
@given(some.integers(1, 5000))
def test_windows_cover_a_clip_and_share_frames(frames: int) -> None:
    spans = cascade.windows(frames)
    assert spans[0][0] == 0 and spans[-1][1] == frames
    assert all(0 < stop - start <= WINDOW_FRAMES for start, stop in spans)
    assert all(before[0] < after[0] < before[1] for before, after in zip(spans, spans[1:]))


@FEW
@given(some.integers(2, 20), some.sampled_from([8, 16, 24]), some.sampled_from([8, 32]))
def test_pairs_put_together_keep_every_keyframe(count: int, height: int, width: int) -> None:
    clip = torch.rand(1, 3, count, height, width, generator=torch.Generator().manual_seed(count))
    blends = cascade.interpolation_condition(clip)[:, :3]
    joined = cascade.join_pairs(blends)
    assert joined.shape == (1, 3, 4 * count - 3, height, width)
    assert torch.allclose(joined[:, :, ::4], clip, atol=1e-6)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
@FEW
@given(STEPS, PART)
def test_sigmas_fall_to_where_the_published_run_ends(stage: Stage, steps: int, denoise: float) -> None:
    sigmas = schedule.published_sigmas(stage.schedule, steps, denoise)
    assert bool(torch.isfinite(sigmas).all()) and len(sigmas) <= steps + 1
    assert bool((sigmas[1:] < sigmas[:-1]).all()), "each step goes down"
    assert torch.equal(sigmas[-1], schedule.published_sigmas(stage.schedule, 10)[-1])


@TRIED
@given(some.text(max_size=300), some.booleans())
def test_any_text_is_a_caption(text: str, clean: bool) -> None:
    caption = captions.preprocess(text, clean)
    assert caption == caption.strip() and (clean or caption == text.lower().strip())


@TRIED
@given(some.integers(1, 6), some.integers(1, 300), some.floats(0, 1))
def test_the_quantile_is_pytorchs(rows: int, length: int, ratio: float) -> None:
    values = torch.randn(rows, length, generator=torch.Generator().manual_seed(length))
    assert torch.allclose(schedule.quantile(values, ratio).flatten(), values.quantile(ratio, dim=1), atol=1e-6)


@TRIED
@given(some.integers(1, 40), some.integers(1, 5), some.integers(1, 4000))
def test_rows_in_chunks_are_the_rows(rows: int, width: int, most: int) -> None:
    x = torch.rand(rows, width, generator=torch.Generator().manual_seed(rows))
    with torch.inference_mode(), chunk_bytes(most):
        assert torch.equal(by_rows(lambda part: part * 2 + 1, x), x * 2 + 1)


WORDS = some.text(max_size=9)
JSON = some.recursive(some.none() | some.booleans() | some.integers(-2, 5000) | some.floats(allow_nan=False) | WORDS,
                      lambda inner: some.lists(inner, max_size=5) | some.dictionaries(WORDS, inner, max_size=5), max_leaves=8)


@pytest.fixture(scope="module")
def config(models) -> dict:
    return json.loads((models / "show-1-base" / "unet" / "config.json").read_text())


@TRIED
@given(some.data())
def test_a_config_with_a_wrong_value_is_refused_in_a_sentence(config: dict, data: some.DataObject) -> None:
    """No tensors are with it, so even a harmless value ends in a refusal."""
    key, value = data.draw(some.sampled_from(sorted(config))), data.draw(JSON)
    with pytest.raises(CheckpointError) as refused:
        assemble(Path("show-1-base"), config | {key: value}, {}, {})
    assert "\n" not in str(refused.value)


@pytest.mark.slow  # ten seconds; the quick run has the same of a config
@TRIED
@given(some.data())
def test_a_schedule_with_a_wrong_value_is_refused_in_a_sentence(models: Path, config: dict, data: some.DataObject) -> None:
    record = json.loads((models / "show-1-base" / "scheduler" / "scheduler_config.json").read_text()) | {"scaling_factor": 1}
    key, value = data.draw(some.sampled_from(sorted(record))), data.draw(JSON)
    part = "vae" if key == "scaling_factor" else "scheduler"
    with pytest.raises(CheckpointError) as refused:
        assemble(Path("show-1-base"), config, {part: record | {key: value}}, {})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part, values, sentence", [
    ("scheduler", {"beta_start": 5.0, "_class_name": "DDPMScheduler"}, "beta_start is 5.0; expected a number from 0 to 1"),
    ("scheduler", {"beta_end": float("nan"), "_class_name": "DDPMScheduler"}, "beta_end is nan"),
    ("scheduler", {}, "_class_name is None"),
    ("vae", {"scaling_factor": 0}, "scaling_factor is 0.0; expected a number above 0")])
def test_numbers_that_would_spoil_the_video_are_refused(config: dict, part: str, values: dict, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        assemble(Path("show-1-base"), config, {part: values}, {})
