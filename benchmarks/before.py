"""Guided steps of another commit beside this one's, in CPU seconds: is any stage slower than it was?

    git worktree add DIR COMMIT
    python benchmarks/before.py DIR [--size mini quarter] [--stage sr1 ...] [--times 3]
    python benchmarks/before.py DIR --host COMFYUI [--stage keyframes ...] [--times 3]

With --host it is the MODEL in the ComfyUI of that folder, with nothing attached, the mini, four steps of a core sampler; run it
with the Python of that ComfyUI.

Each commit's library, or pack, runs in a process of its own, one thread each, in turns, over the same sizes, weights and inputs:
those of this commit. CPU seconds, the least of a few, so that other work on the machine falls on neither.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker import Worker, serve

REPO = Path(__file__).resolve().parents[1]
IN_HOST = "in ComfyUI"  # in place of a size
STAGES = ("keyframes", "interpolation", "first-frame", "sr1", "sr2")
HEAD = "| size | step of | before | now | ratio |\n|---|---|---|---|---|"


def serve_steps(root: Path, size: str, stage: str, host: Path | None) -> None:
    """The process of one commit: a guided step, and its seconds, for every line that comes in."""
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        if host is None:
            step, context = library_step(root, size, stage)
        else:
            from in_host import host_steps

            step, context = host_steps(root, host, stage), contextlib.nullcontext()
        with context:
            step()
            serve(lambda: seconds(step))


def seconds(step: Callable[[], object]) -> float:
    """CPU seconds of a step."""
    began = time.process_time()
    step()
    return time.process_time() - began


def library_step(root: Path, size: str, stage: str) -> tuple[Callable[[], Any], contextlib.AbstractContextManager[Any]]:
    """A guided step of that commit's library, and what it runs in."""
    sys.path.insert(0, str(root))
    importlib.import_module("show1_core.models.unet")  # before `cases`, which would take this commit's
    sys.path.insert(0, str(REPO / "benchmarks"))
    import torch
    from cases import SIZES, case
    from cases import STAGES as STAGES_HERE

    one = case(SIZES[size], next(here for here in STAGES_HERE if here.name == stage), "cpu", torch.float32)
    if importlib.util.find_spec("show1_core.models.layout"):
        importlib.import_module("show1_core.models.layout").lay_out(one.unet, "cpu")
    kernels = importlib.import_module("show1_core.kernels")
    selecting = kernels.chosen_by(kernels.Selection()) if hasattr(kernels, "Selection") else contextlib.nullcontext()
    return one.ours(), selecting


def started(root: Path, size: str, stage: str, host: Path | None) -> Worker:
    """A commit's process."""
    where = [] if host is None else ["--host", str(host)]
    try:
        return Worker([sys.executable, __file__, str(root), "--serve", size, stage, *where])
    except RuntimeError as error:
        raise SystemExit(f"{error}\n{root} does not run a step of {stage}; give a checkout of this repository.") from None


def compare(root: Path, size: str, stage: str, times: int, host: Path | None = None) -> str:
    """A row of the table."""
    before, now = (started(one, size, stage, host) for one in (root, REPO))
    taken = [(float(before.step()), float(now.step())) for _ in range(times)]
    before.end()
    now.end()
    old, new = (min(seconds) for seconds in zip(*taken))
    return f"| {size} | {stage} | {old:.3g} s | {new:.3g} s | {old / new:.2f} |"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="another commit of this repository")
    parser.add_argument("--size", nargs="+", choices=("mini", "quarter"), default=["mini", "quarter"])
    parser.add_argument("--stage", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--host", type=Path, help="a ComfyUI's folder, to time the MODEL there")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    host = chosen.host and chosen.host.resolve()
    if chosen.serve:
        size, stage = chosen.serve
        serve_steps(chosen.checkout.resolve(), size, stage, host)
        return 0
    print(HEAD)
    stages = [stage for stage in chosen.stage if host is None or stage != "first-frame"]  # which has a sampler of its own
    for size in chosen.size if host is None else [IN_HOST]:
        for stage in stages:
            print(compare(chosen.checkout.resolve(), size, stage, chosen.times, host), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
