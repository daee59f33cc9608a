"""Runs prompts through the whole mini cascade in a real ComfyUI and judges the videos.

    python benchmarks/judge_cascade.py [--prompts 64] [--held-out] [--least-right 6] [--output DIR]

One ComfyUI serves all prompts, with the settings of the shipped workflow. Prints a line a video, then the judge's
figures and the same with the prompts shuffled. With --least-right it fails when fewer are right: what CI runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO / "scripts"), str(REPO / "benchmarks")]

import judge  # noqa: E402
import numpy as np  # noqa: E402
from host_install import ensure  # noqa: E402
from hosts import continue_under  # noqa: E402
from terminal import guarded  # noqa: E402

WORKFLOW = REPO / "example_workflows" / "Show-1 mini text to video (CPU).json"


def frames_of(video: Path) -> np.ndarray:
    """All frames of a video file, uint8 (F, H, W, 3)."""
    import av

    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def prompts_of(count: int, held_out: bool) -> list[str]:
    """Prompts spread over all kinds of clips, or over those that training never saw."""
    sys.path.insert(0, str(REPO))
    from show1_core.training.shapes import judged_prompts

    return judged_prompts(count, held_out)


async def videos_of(url: str, workflow: Path, prompts: list[str], output: Path) -> list[Path]:
    """Queue every prompt at a running ComfyUI, one after the other; the video each of them wrote."""
    import workflow as workflows
    from host_client import Client

    content, found = workflows.load(workflow), []
    async with Client(url) as client:
        info = await client.object_info()
        for number, prompt in enumerate(prompts):
            api = workflows.to_api(content, info)
            workflows.apply([workflows.Setting("Prompt.value", prompt), workflows.Setting("*.seed", str(number))], api, info)
            began = time.monotonic()
            prompt_id = await client.queue(api)
            end = await client.follow(prompt_id, lambda event: None)
            if end.type != "execution_success":
                raise RuntimeError(f"{prompt!r} ended with {end.type}: {end.data}")
            found += [output / file for file in await client.outputs(prompt_id) if file.suffix == ".mp4"]
            print(f"{number + 1}/{len(prompts)} {prompt}: {time.monotonic() - began:.0f} s", flush=True)
    return found


def report(verdicts: list[judge.Verdict], prompts: list[str], output: Path) -> int:
    """Print and write the figures; returns how many videos are right in both colour and direction."""
    score, control = judge.score(verdicts, prompts), judge.score(verdicts, judge.shuffled(prompts))
    for verdict, prompt in zip(verdicts, prompts, strict=True):
        print(f"{prompt} -> {verdict.colour} {verdict.shape} {verdict.direction}")
    print(score)
    print(f"prompts shuffled: {control}")
    rows = [{"prompt": prompt, **asdict(verdict)} for prompt, verdict in zip(prompts, verdicts, strict=True)]
    found = {"score": asdict(score), "shuffled": asdict(control), "videos": rows}
    (output / "judge.json").write_text(json.dumps(found, indent=2) + "\n")
    return round(score.both * score.clips)


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--held-out", action="store_true", help="combinations that training never saw")
    parser.add_argument("--least-right", type=int, default=0, help="fail when fewer videos are right")
    parser.add_argument("--workflow", type=Path, default=WORKFLOW)
    parser.add_argument("--output", type=Path, default=REPO / "output" / "judge")
    chosen = parser.parse_args(arguments)
    host = ensure()
    continue_under(host)
    from host_server import Launch, Server

    output = chosen.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    prompts = prompts_of(chosen.prompts, chosen.held_out)
    with Server(host, Launch(output=output)) as server:
        videos = asyncio.run(videos_of(server.url, chosen.workflow, prompts, output))
    verdicts = [judge.judge(frames_of(video)) for video in videos]
    return 0 if report(verdicts, prompts, output) >= chosen.least_right else 1


if __name__ == "__main__":
    guarded(main)
