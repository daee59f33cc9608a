"""Batches against stand-ins for ComfyUI, which speak its interface and do next to nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).resolve().parents[2] / "scripts"), str(Path(__file__).parent)]

from harness import Bench  # noqa: E402


@pytest.fixture
def bench(tmp_path: Path):
    """A folder with a workflow, in which batches are run; nothing that was started is left after the test."""
    made = Bench(tmp_path)
    yield made
    made.end()
