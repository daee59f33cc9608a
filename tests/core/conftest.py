"""The recording of the official code and the miniatures it was made with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from recording import GOLDEN
from safetensors.torch import load_file


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    """Every recorded tensor."""
    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="session")
def recipe() -> dict[str, Any]:
    """Prompt, seed, sizes and steps of the recorded cascade."""
    return json.loads((GOLDEN / "recipe.json").read_text())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniatures in the published layout, in every file format that is published."""
    script = Path(__file__).resolve().parents[2] / "scripts" / "miniature.py"
    spec = importlib.util.spec_from_file_location("miniature", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("show1")
    module.build(folder)
    return folder


@pytest.fixture(scope="session")
def texts(golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Recorded text states, negative then positive: (2, 77, 64)."""
    return {name: torch.cat([golden[f"{name}.negative.embeds"], golden[f"{name}.prompt.embeds"]]) for name in ("t5", "clip")}


@pytest.fixture(autouse=True)
def no_gradients():
    """Nothing here trains, except where a test says so."""
    with torch.no_grad():
        yield
