"""Guided steps of a checkout of the official code beside ours: the checkout runs in a process, and a Python, of its own.

Run as a command by itself, it is that process: it reads what to run as JSON, then takes a step for every line. It needs PyTorch
and what the checkout imports, nothing of this repository. Steps are taken in turns, so both networks are in memory. Weights are
random there; time does not depend on them. The first frame's network is not in it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker import Worker, serve

MODULE = "showone.models.unet_3d_condition"  # of a checkout, where its networks' class is


def beside(checkout: Path, python: str, sizes: list[str], stages: list[Any]) -> int:
    """Print a table of steps, official and ours, on the CPU in float32. Returns 0, or 1 where the checkout does not run."""
    import measure
    from cases import FIRST_FRAME

    if not (checkout / (MODULE.replace(".", "/") + ".py")).is_file():
        print(f"{checkout} holds no {MODULE.replace('.', '/')}.py; give the folder of a checkout of the official code.")
        return 1
    print(f"{measure.machine('cpu')}, fp32\n\n| size | step of | official code | ours | ratio |\n|---|---|---|---|---|")
    for name in sizes:
        for stage in (stage for stage in stages if stage is not FIRST_FRAME):
            try:
                official, ours = in_turns(checkout, python, name, stage)
            except RuntimeError as error:
                print(f"the official code of {stage.name} does not run:\n{error}")
                return 1
            print(f"| {name} | {stage.name} | {official:.3g} s | {ours:.3g} s | {official / ours:.2f} |", flush=True)
    return 0


def in_turns(checkout: Path, python: str, size: str, stage: Any) -> tuple[float, float]:
    """Median seconds of a step, official and ours."""
    import measure
    import torch
    from cases import SIZES, TOKENS, case

    one = case(SIZES[size], stage, "cpu", torch.float32)
    asked = {"config": SIZES[size].config(stage), "clip": list(one.clip.shape), "text": [2, TOKENS, one.text.shape[-1]],
             "level": stage.noise_level, "threads": torch.get_num_threads()}
    official = Worker([python, __file__, str(checkout)], json.dumps(asked))
    with torch.inference_mode():
        taken = measure.side_by_side({"official": official.step, "ours": one.ours()}, "cpu")
    official.end()
    return taken["official"].seconds, taken["ours"].seconds


def official_step(asked: dict[str, Any]) -> Callable[[], None]:
    """A step of the official network: a clip after the other, guidance as a batch of two."""
    import torch

    torch.set_num_threads(asked["threads"])
    network = getattr(importlib.import_module(MODULE), asked["config"]["_class_name"])
    unet = network.from_config(asked["config"]).eval().requires_grad_(False)
    clips, text = torch.randn(asked["clip"]), torch.randn(asked["text"])
    level = None if asked["level"] is None else torch.full((2,), asked["level"])

    def step() -> None:
        with torch.inference_mode():
            for clip in clips.split(1):
                unet(torch.cat([clip, clip]), torch.tensor(500), encoder_hidden_states=text, class_labels=level)

    return step


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    serve(official_step(json.loads(sys.stdin.readline())))
