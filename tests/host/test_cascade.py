"""The whole cascade in a real ComfyUI, from the recorded prompt to the recorded frames and a video.

The library is held to the same recording in tests/core/test_pipeline.py, each node in inside/test_stages.py; whole runs of both
are compared in test_mini.py.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from driver import Driver, Outcome, failure_of
from hosting.server import Server
from PIL import Image
from safetensors.numpy import load_file

Json = dict[str, Any]
EXPECTED = Path(__file__).resolve().parents[1] / "data" / "golden" / "expected.safetensors"
SAMPLERS = ("5", "7", "9", "11", "17")


@pytest.fixture(scope="module")
def runs(server: Server, cascade: Json) -> tuple[Outcome, Outcome]:
    """The cascade queued twice, its frames saved as a video and, without loss, as images."""
    driver = Driver(server.url)
    return driver.run(cascade), driver.run(cascade)


def test_it_ends_well(runs: tuple[Outcome, Outcome]) -> None:
    for outcome in runs:
        assert outcome.end.type == "execution_success", failure_of(outcome)


def saved(driver: Driver, outcome: Outcome) -> numpy.ndarray:
    """The frames that were saved without loss, (F, H, W, 3)."""
    files = [file for file in outcome.files if file.suffix == ".png"]
    pictures = [Image.open(io.BytesIO(driver.fetch(file))) for file in files]
    return numpy.stack([numpy.asarray(picture.convert("RGB")) for picture in pictures])


def test_frames_equal_the_official_ones(driver: Driver, runs: tuple[Outcome, Outcome]) -> None:
    frames = saved(driver, runs[0])
    expected = load_file(EXPECTED)["cascade.frames"]
    assert frames.shape == expected.shape
    distance = numpy.abs(frames.astype(int) - expected.astype(int))
    assert (distance <= 2).mean() >= 0.995, f"up to {distance.max()} levels apart"


def test_the_video_has_every_frame(driver: Driver, runs: tuple[Outcome, Outcome]) -> None:
    video = next(file for file in runs[0].files if file.suffix == ".mp4")
    with av.open(io.BytesIO(driver.fetch(video))) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert (len(frames), frames[0].width, frames[0].height) == (29, 128, 64)
        assert stream.average_rate == 8


@pytest.mark.parametrize("node_id", SAMPLERS)
def test_every_stage_shows_its_steps(runs: tuple[Outcome, Outcome], node_id: str) -> None:
    steps = runs[0].steps(node_id)
    done, total = steps[-1]
    assert done == total >= 20
    assert len(steps) >= total, "some steps were not shown"


def test_the_second_run_is_cached_whole(runs: tuple[Outcome, Outcome]) -> None:
    assert runs[0].nodes_run() >= set(SAMPLERS)
    assert runs[1].nodes_run() == set()
    assert set(runs[1].files) == set(runs[0].files)
