"""Judges many prompts of the mini, drawn as a batch: it may be stopped, and go on, on as many workers as there are.

    python benchmarks/judge_batch.py prepare DIR [--prompts 64] [--held-out] [--two]
    python scripts/batch.py DIR/workflow.json --table DIR/prompts.csv --output DIR/results
    python benchmarks/judge_batch.py judge DIR

The workflow is the shipped one, and saves the frames of every stage besides. Figures, judge.json and sheet.png are those of
judge_cascade.py; --first-seed draws other takes of the same prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from judge_cascade import ON_THE_WAY, VIDEO, WORKFLOW, Clips, report, save_on_the_way, saved_frames, serving  # noqa: E402
from terminal import guarded  # noqa: E402

from mini.grammar import judged_prompts  # noqa: E402

GRAPH, TABLE, RESULTS = "workflow.json", "prompts.csv", "results"


async def staged_graph(url: str) -> dict[str, Any]:
    """The shipped workflow in API format, with a node that saves the frames of each stage."""
    from workflows import workflow as workflows
    from workflows.client import Client

    async with Client(url) as client:
        api = workflows.to_api(workflows.load(WORKFLOW), await client.object_info())
    save_on_the_way(api)
    return api


def prepare(folder: Path, prompts: list[str], first_seed: int) -> None:
    """Write the workflow and the table: every prompt with the seed of its place."""
    with serving(folder / "asked") as server:
        graph = asyncio.run(staged_graph(server.url))
    (folder / GRAPH).write_text(json.dumps(graph, indent=1) + "\n", encoding="utf-8")
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("Prompt.value", "seed"), *zip(prompts, range(first_seed, first_seed + len(prompts)))])


def drawn(results: Path) -> tuple[Clips, list[str]]:
    """What the results show after every stage, and their prompts, in the order of the table."""
    from show1_core.frame_files import read

    clips: Clips = {stage: [] for stage in (*ON_THE_WAY, VIDEO)}
    with (results / TABLE).open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["row"]))
    for row in rows:
        for stage in ON_THE_WAY:
            clips[stage].append(saved_frames(list((results / row["id"]).glob(f"{stage}_*.png"))))
        clips[VIDEO].append(read(next((results / row["id"]).glob("*.mp4"))))
    return clips, [row["prompt"] for row in rows]


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--held-out", action="store_true", help="combinations that training never saw")
    parser.add_argument("--two", action="store_true", help="prompts of two solids")
    parser.add_argument("--first-seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.resolve()
    if chosen.what == "prepare":
        prepare(folder, judged_prompts(chosen.prompts, chosen.held_out, two=chosen.two), chosen.first_seed)
    else:
        report(*drawn(folder / RESULTS), folder)
    return 0


if __name__ == "__main__":
    guarded(main)
