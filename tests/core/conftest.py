"""The recording of the official code and the miniatures it was made with."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from recording import CALLS, GOLDEN
from safetensors.torch import load_file

from show1_core import load_unet

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def script(name: str) -> ModuleType:
    """A module of scripts/, which is not on the path."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# diffusers' networks import torchvision where there is one, which a CPU build of torch does not fit
OPERATORS = script("hosting/launcher").torchvision_operators() if importlib.util.find_spec("torchvision") else None


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
    folder = tmp_path_factory.mktemp("show1")
    script("miniature").build(folder)
    return folder


@pytest.fixture(scope="session")
def texts(golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Recorded text states, negative then positive: (2, 77, 64)."""
    return {name: torch.cat([golden[f"{name}.negative.embeds"], golden[f"{name}.prompt.embeds"]]) for name in ("t5", "clip")}


@pytest.fixture(params=CALLS, ids=[call for call, _ in CALLS])
def recorded(request: pytest.FixtureRequest, models: Path, golden: dict[str, torch.Tensor],
             texts: dict[str, torch.Tensor]) -> Any:
    """A UNet, the inputs of a recorded call, and what came out."""
    call, name = request.param
    inputs = (golden[f"forward.{call}.x"], golden[f"forward.{call}.t"], texts["clip" if call == "sr2" else "t5"],
              golden.get(f"forward.{call}.noise_level"))
    return load_unet(models / name / "unet"), inputs, golden[f"forward.{call}.out"]


@pytest.fixture
def small(recorded: Any) -> Any:
    """A UNet and inputs that are quickly done: a corner of the recorded call's first frames."""
    unet, (x, *others), _ = recorded
    corner = (x if x.ndim == 4 else x[:, :, :3])[..., :16, :16].contiguous()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work is done sooner by one
    yield unet, (corner, *others)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def known() -> set[Any]:
    """Layers and places in the code that a test of the same module has been through: networks share most of theirs."""
    return set()


@pytest.fixture(autouse=True)
def no_gradients():
    """Nothing here trains, except where a test says so."""
    with torch.no_grad():
        yield
