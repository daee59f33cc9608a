"""Text to video with the small cascade, in a real ComfyUI: `demo.py "a red ball bouncing at sunset"`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hosting.hosts import REPO, continue_under
from hosting.install import ensure
from hosting.torch_build import add_torch_index
from terminal import Failure, guarded

WORKFLOW = REPO / "example_workflows" / "Show-1 mini text to video (CPU).json"


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    host = ensure(chosen.torch_index)
    continue_under(host)
    from workflows import runner
    from workflows.workflow import Setting, load

    settings = [Setting("Prompt.value", chosen.prompt)]
    if chosen.seed is not None:
        settings.append(Setting("*.seed", str(chosen.seed)))
    files = runner.run(host, runner.Job(load(WORKFLOW), chosen.output, settings))
    videos = [file for file in files if file.suffix == ".mp4"]
    if not videos:
        raise Failure(f"{WORKFLOW} ran to its end but wrote no .mp4; does it end in Save Video?")
    print(videos[-1], flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("prompt", help="what the video is to show")
    parser.add_argument("--seed", type=int, help="another video of the same prompt")
    parser.add_argument("--output", type=Path, default=REPO / "output", metavar="DIR")
    add_torch_index(parser)
    return parser


if __name__ == "__main__":
    guarded(main)
