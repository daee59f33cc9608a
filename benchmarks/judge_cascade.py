"""Runs prompts through the whole mini cascade in a real ComfyUI and judges the videos.

    python benchmarks/judge_cascade.py [--prompts 64] [--held-out] [--two] [--least-right 6] [--most-memory 2000]
                                       [--output DIR] [--figures FILE.json]

One ComfyUI serves all prompts, with the settings of the shipped workflow. Prints a line a video, then the judge's
figures after every stage and the same with the prompts shuffled; judge.json and sheet.png, a picture of all videos, go
to the output folder, and the figures alone, for the mini's card, to --figures. With --least-right it fails when fewer
videos are right: what CI runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "scripts"), str(REPO / "benchmarks")]

import judge  # noqa: E402
import numpy as np  # noqa: E402
from hosting.hosts import continue_under  # noqa: E402
from hosting.install import ensure  # noqa: E402
from judge_sheet import contact_sheet  # noqa: E402
from terminal import guarded  # noqa: E402

from mini.grammar import judged_prompts  # noqa: E402

WORKFLOW = REPO / "example_workflows" / "Show-1 mini text to video (CPU).json"


# Nodes of the workflow whose frames are judged on the way, by the name of the stage; the video is what is judged at the end.
ON_THE_WAY = {"keyframes": "Keyframes", "interpolation": "Interpolation", "sr1": "Upscale"}
VIDEO = "video"
Clips = dict[str, list[np.ndarray]]  # of every prompt, by stage


@dataclass(frozen=True)
class Orders:
    """What is run: every prompt with the seed of its place; `changes` are values by NODE.input."""

    prompts: list[str]
    workflow: Path = WORKFLOW
    first_seed: int = 0
    changes: dict[str, str] = field(default_factory=dict)


def saved_frames(files: list[Path]) -> np.ndarray:
    """Frames that were saved as pictures, uint8 (F, H, W, 3)."""
    from PIL import Image

    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in sorted(files)])


def save_on_the_way(api: dict[str, Any], prefix: str = "{stage}") -> None:
    """Let a workflow save the frames of its stages too, under names that begin with `prefix`."""
    titled = {node["_meta"]["title"]: node_id for node_id, node in api.items()}
    for stage, title in ON_THE_WAY.items():
        inputs = {"images": [titled[title], 0], "filename_prefix": prefix.format(stage=stage)}
        api[stage] = {"class_type": "SaveImage", "inputs": inputs, "_meta": {"title": stage}}


async def run_all(url: str, orders: Orders, output: Path) -> Clips:
    """Queue every prompt at a running ComfyUI, one after the other; what each of them showed after every stage."""
    from workflows import workflow as workflows
    from workflows.client import Client

    from show1_core.frame_files import read

    content = workflows.load(orders.workflow)
    clips: Clips = {stage: [] for stage in (*ON_THE_WAY, VIDEO)}
    async with Client(url) as client:
        info = await client.object_info()
        for number, prompt in enumerate(orders.prompts):
            api = workflows.to_api(content, info)
            values = {"Prompt.value": prompt, "*.seed": str(orders.first_seed + number), **orders.changes}
            workflows.apply([workflows.Setting(*item) for item in values.items()], api, info)
            save_on_the_way(api, f"{{stage}}/{number:03}")
            began = time.monotonic()
            prompt_id = await client.queue(api)
            end = await client.follow(prompt_id, lambda event: None)
            if end.type != "execution_success":
                raise RuntimeError(f"{prompt!r} ended with {end.type}: {end.data}")
            files = await client.outputs(prompt_id)
            for stage in ON_THE_WAY:
                clips[stage].append(saved_frames([output / file for file in files if file.parent.name == stage]))
            clips[VIDEO].append(read(next(output / file for file in files if file.suffix == ".mp4")))
            print(f"{number + 1}/{len(orders.prompts)} {prompt}: {time.monotonic() - began:.0f} s", flush=True)
    return clips


@contextmanager
def serving(output: Path) -> Iterator[Any]:
    """A ComfyUI, set up as far as it is not, whose results go to `output`; the program goes on under its Python."""
    host = ensure()
    continue_under(host)
    from hosting.server import Launch, Server

    output.mkdir(parents=True, exist_ok=True)
    with Server(host, Launch(output=output)) as server:
        yield server


def report(clips: Clips, prompts: list[str], output: Path, figures: Path | None = None) -> int:
    """Print and write the figures of every stage; returns how many videos show all that their prompts say.

    figures: a file for the scores without a line for every clip.
    """
    found: dict[str, Any] = {}
    for stage, frames in clips.items():
        verdicts = [judge.judge(clip) for clip in frames]
        score, control = judge.score(verdicts, prompts), judge.score(verdicts, judge.shuffled(prompts))
        print(f"{stage}: {score}; prompts shuffled: {control}")
        rows = [{"prompt": prompt, **judge.parts_of(verdict)} for prompt, verdict in zip(prompts, verdicts, strict=True)]
        found[stage] = {"score": asdict(score), "shuffled": asdict(control), "clips": rows}
    (output / "judge.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if figures is not None:
        scores = {stage: {name: told[name] for name in ("score", "shuffled")} for stage, told in found.items()}
        figures.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    contact_sheet(clips[VIDEO], prompts, found[VIDEO]["clips"]).save(output / "sheet.png")
    return round(found[VIDEO]["score"]["every"] * len(prompts))


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--held-out", action="store_true", help="combinations that training never saw")
    parser.add_argument("--two", action="store_true", help="prompts of two solids")
    parser.add_argument("--least-right", type=int, default=0, help="fail when fewer videos are right")
    parser.add_argument("--most-memory", type=int, help="fail when the ComfyUI's resident memory was more, in MB")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW)
    parser.add_argument("--output", type=Path, default=REPO / "output" / "judge")
    parser.add_argument("--figures", type=Path, help="a file for the figures alone, for the card")
    chosen = parser.parse_args(arguments)
    output = chosen.output.resolve()
    with serving(output) as server:
        from measure import resident

        prompts = judged_prompts(chosen.prompts, chosen.held_out, two=chosen.two)
        clips = asyncio.run(run_all(server.url, Orders(prompts, chosen.workflow), output))
        megabytes = None if chosen.most_memory is None else resident("VmHWM", server.pid) // 2**20
    good = report(clips, prompts, output, chosen.figures) >= chosen.least_right
    if megabytes is not None:
        print(f"peak resident memory of ComfyUI: {megabytes} MB")
        good = good and megabytes <= chosen.most_memory
    return 0 if good else 1


if __name__ == "__main__":
    guarded(main)
