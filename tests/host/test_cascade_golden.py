"""The whole cascade through the real host, from the recorded prompt to the recorded frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy
from driver import Driver
from PIL import Image
from safetensors.numpy import load_file

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden"


def test_frames_equal_the_official_ones(driver: Driver, workflow: dict[str, Any]) -> None:
    for video_node in ("18", "19"):
        del workflow[video_node]
    workflow["save"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["17", 0], "filename_prefix": "golden"},
    }
    outcome = driver.run(workflow)
    assert outcome.end.type == "execution_success", outcome.end.data
    pictures = [Image.open(io.BytesIO(driver.fetch(file))) for file in outcome.files]
    frames = numpy.stack([numpy.asarray(picture.convert("RGB")) for picture in pictures])
    expected = load_file(GOLDEN / "expected.safetensors")["cascade.frames"]
    assert frames.shape == expected.shape
    distance = numpy.abs(frames.astype(int) - expected.astype(int))
    assert (distance <= 2).mean() >= 0.995, f"at most {distance.max()} levels apart"
