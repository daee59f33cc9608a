"""The pack and its mini in a ComfyUI's own process, without a server: models, prompts, and for `before.py --host` guided steps
of a stage by a core sampler, with nothing attached."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

MINI = Path(__file__).resolve().parents[1] / "models" / "show1-mini"
TOKENS, STEPS = 77, 4
FRAMES, HEIGHT, WIDTH = 8, 20, 32  # of the keyframes; the last stage's latents are as large


class MiniInHost:
    """The mini that ships, by the pack in this repository, in the ComfyUI in `host`."""

    def __init__(self, host: Path) -> None:
        self.part = loaded(MINI.parents[1], host)
        self.recipe: dict[str, Any] = json.loads((MINI / "recipe.json").read_text(encoding="utf-8"))
        weights, folder = self.part("show1_core.weights"), MINI / "keyframes" / "text_encoder"
        tensors = weights.read_tensors(weights.find_weights(folder, "model"))
        self._clip = self.part("nodes.host").load_text(tensors, weights.read_json(folder / "config.json"))

    def model(self, stage: str) -> Any:
        """A stage as a MODEL in float32."""
        return self.part("nodes.host").load_model(self.part("show1_core.checkpoints").read_checkpoint(MINI / stage), "fp32")

    def text(self, prompt: str) -> tuple[Any, Any]:
        """A prompt as its stages read it: positive, negative."""
        return tuple(self.part("nodes.text").Show1T5Encode.execute(self._clip, prompt).args)

    def run(self, file: str, node: str, *inputs: Any, **more: Any) -> Any:
        """The first output of one of the pack's nodes."""
        with torch.inference_mode():
            return getattr(self.part(f"nodes.{file}"), node).execute(*inputs, **more).args[0]


def in_windows(model: Any, length: int, overlap: int) -> Any:
    """The model, seeing so many frames at once."""
    node = importlib.import_module("comfy_extras.nodes_context_windows").ContextWindowsManualNode
    return node.execute(model, length, overlap, "standard_static", 1, False, "pyramid", 2).args[0]


def host_steps(root: Path, host: Path, stage: str) -> Callable[[], Any]:
    """Some steps of one stage, by the pack in `root`, in the ComfyUI in `host`.

    The first frame's is not among the stages: it has a sampler of its own.
    """
    part = loaded(root, host)
    checkpoint = part("show1_core.checkpoints").read_checkpoint(MINI / stage)
    model = part("nodes.host").load_model(checkpoint, "fp32")
    config = checkpoint.identity.config
    text = torch.randn((1, TOKENS, config.text_dim), generator=seeded())
    *texts, latent = conditions(part, stage, [[text, {}]])
    sampler = importlib.import_module("nodes").KSampler()
    return lambda: sampler.sample(model, 1, STEPS, 5.0, "euler", "simple", *texts, latent)


def loaded(root: Path, host: Path) -> Callable[[str], Any]:
    """Parts of that pack by name, loaded as the host does: by its path, under a name of its own."""
    sys.path.insert(0, str(host))
    sys.argv = ["before.py", "--cpu"]
    importlib.import_module("comfy.options").enable_args_parsing()
    spec = importlib.util.spec_from_file_location("show1_pack", root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ValueError(f"{root} is no pack; give a checkout of this repository.")
    sys.modules["show1_pack"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda part: importlib.import_module(f"show1_pack.{part}")


def conditions(part: Callable[[str], Any], stage: str, text: Any) -> tuple[Any, Any, dict[str, Tensor]]:
    """Both texts and an empty latent, with the frames that a stage works from."""
    if stage in ("keyframes", "sr2"):
        channels = 3 if stage == "keyframes" else 4
        return text, text, {"samples": torch.zeros(1, channels, FRAMES, HEIGHT, WIDTH)}
    images, nodes = torch.rand((FRAMES, HEIGHT, WIDTH, 3), generator=seeded()), part("nodes.core_samplers")
    node, more = {"interpolation": ("Show1InterpolationConditioning", ()), "sr1": ("Show1PixelSRConditioning", (1, 250))}[stage]
    return getattr(nodes, node).execute(text, text, images, *more).args


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
