"""Guided steps of a checkout of the official code beside ours: the checkout runs in a process, and a Python, of its own.

Run as a command by itself, it is that process: it reads what to time as JSON and needs PyTorch and what the checkout imports,
nothing of this repository. Weights are random there; time does not depend on them. The first frame's network is not in it.
"""

from __future__ import annotations

import importlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODULE = "showone.models.unet_3d_condition"  # of a checkout, where its networks' class is
TIMES = 3


def beside(checkout: Path, python: str, sizes: list[str], stages: list[Any]) -> int:
    """Print a table of steps, official and ours, on the CPU in float32. Returns 0, or 1 where the checkout does not run."""
    import measure
    import torch
    from cases import FIRST_FRAME, SIZES, TOKENS, case

    if not (checkout / (MODULE.replace(".", "/") + ".py")).is_file():
        print(f"{checkout} holds no {MODULE.replace('.', '/')}.py; give the folder of a checkout of the official code.")
        return 1
    print(f"{measure.machine('cpu')}, fp32\n\n| size | step of | official code | ours | ratio |\n|---|---|---|---|---|")
    for name in sizes:
        for stage in (stage for stage in stages if stage is not FIRST_FRAME):
            with torch.inference_mode():
                one = case(SIZES[name], stage, "cpu", torch.float32)
                ours = measure.side_by_side({"ours": one.ours()}, "cpu")["ours"].seconds
            asked = {"config": SIZES[name].config(stage), "clip": list(one.clip.shape), "text": [2, TOKENS, one.text.shape[-1]],
                     "level": stage.noise_level, "threads": torch.get_num_threads()}
            del one
            ran = subprocess.run([python, __file__, str(checkout)], input=json.dumps(asked), capture_output=True, text=True)
            if ran.returncode:
                print(f"the official code of {stage.name} does not run:\n{ran.stderr[-1500:]}")
                return 1
            official = float(ran.stdout.splitlines()[-1])
            print(f"| {name} | {stage.name} | {official:.3g} s | {ours:.3g} s | {official / ours:.2f} |", flush=True)
    return 0


def official_seconds(asked: dict[str, Any]) -> float:
    """The median of a few steps of the official network: a clip after the other, guidance as a batch of two."""
    import torch

    torch.set_num_threads(asked["threads"])
    network = getattr(importlib.import_module(MODULE), asked["config"]["_class_name"])
    unet = network.from_config(asked["config"]).eval().requires_grad_(False)
    clips, text = torch.randn(asked["clip"]), torch.randn(asked["text"])
    level = None if asked["level"] is None else torch.full((2,), asked["level"])

    def step() -> float:
        began = time.perf_counter()
        for clip in clips.split(1):
            unet(torch.cat([clip, clip]), torch.tensor(500), encoder_hidden_states=text, class_labels=level)
        return time.perf_counter() - began

    with torch.inference_mode():
        step()
        return statistics.median(step() for _ in range(TIMES))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    print(official_seconds(json.load(sys.stdin)))
