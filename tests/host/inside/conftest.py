"""The host first on the path, the pack loaded by its path as the host does it, and the miniatures as the host's objects."""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

PACK = Path(__file__).resolve().parents[3]
sys.path[:0] = [os.environ["SHOW1_HOST"]]
sys.path += [str(PACK / "tests" / "core"), str(PACK / "scripts")]
sys.argv = ["pytest", "--cpu"]

from hosting.launcher import torchvision_operators  # noqa: E402

sys.path.pop()  # scripts/comfy.py would stand before the host's package of that name, which has no __init__.py
sys.path.append(str(PACK))  # behind the host, whose nodes.py must win over our nodes/
OPERATORS = torchvision_operators()

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

NAME = "show1_pack"
GOLDEN = PACK / "tests" / "data" / "golden"
MINI = PACK / "models" / "show1-mini"


@pytest.fixture(scope="session")
def pack():
    """The pack as a module of the host; `pack("nodes.host")` imports a part of it."""
    spec = importlib.util.spec_from_file_location(NAME, PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    asyncio.run(module.comfy_entrypoint())
    return lambda part: importlib.import_module(f"{NAME}.{part}")


@pytest.fixture(scope="session")
def models():
    """The miniatures in the published layout."""
    return Path(os.environ["SHOW1_MODELS"])


@pytest.fixture(scope="session")
def golden():
    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="session")
def recipe():
    return json.loads((GOLDEN / "recipe.json").read_text())


@pytest.fixture(scope="session")
def load(pack, models):
    """A miniature as a MODEL, float32 unless said otherwise."""
    read, host = pack("show1_core.checkpoints").read_checkpoint, pack("nodes.host")
    return functools.cache(lambda name, dtype="fp32": host.load_model(read(models / name), dtype))


@pytest.fixture(scope="session")
def text(pack, models):
    """A published text encoder as a CLIP."""
    weights, host = pack("show1_core.weights"), pack("nodes.host")

    def make(name):
        folder = models / name / "text_encoder"
        tensors = weights.read_tensors(weights.find_weights(folder, "pytorch_model"))
        return host.load_text(tensors, weights.read_json(folder / "config.json"))

    return make


@pytest.fixture(scope="session")
def vae(pack, models):
    """The miniature's VAE."""
    weights, folder = pack("show1_core.weights"), models / "show-1-sr2" / "vae"
    tensors = weights.read_tensors(weights.find_weights(folder, "diffusion_pytorch_model"))
    return pack("nodes.host").load_vae(tensors, weights.read_json(folder / "config.json"))


@pytest.fixture(scope="session")
def t5(golden):
    """Recorded text of the pixel stages as CONDITIONING: positive, negative."""
    return tuple([[golden[f"t5.{name}.embeds"], {}]] for name in ("prompt", "negative"))


@pytest.fixture(scope="session")
def clip(golden):
    """Recorded text of the latent stage as CONDITIONING: positive, negative."""
    return tuple([[golden[f"clip.{name}.embeds"], {}]] for name in ("prompt", "negative"))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def texts(golden):
    """Recorded text states, negative then positive: (2, 77, 64)."""
    return {name: torch.cat([golden[f"{name}.negative.embeds"], golden[f"{name}.prompt.embeds"]]) for name in ("t5", "clip")}


@pytest.fixture(scope="session")
def mini(pack):
    """A stage of the mini that ships, as a MODEL in float32."""
    read, host = pack("show1_core.checkpoints").read_checkpoint, pack("nodes.host")
    return functools.cache(lambda name: host.load_model(read(MINI / name), "fp32"))


@pytest.fixture(scope="session")
def mini_recipe():
    """How the mini that ships is sampled."""
    return json.loads((MINI / "recipe.json").read_text())


@pytest.fixture(scope="session")
def mini_text(pack):
    """Prompts as the mini that ships reads them: positive, negative."""
    weights, host, folder = pack("show1_core.weights"), pack("nodes.host"), MINI / "keyframes" / "text_encoder"

    @functools.cache
    def encode(prompt):
        tensors = weights.read_tensors(weights.find_weights(folder, "model"))
        clip = host.load_text(tensors, weights.read_json(folder / "config.json"))
        return tuple(pack("nodes.text").Show1T5Encode.execute(clip, prompt).args)

    return encode
