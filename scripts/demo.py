"""Text to video with the small cascade, in a real ComfyUI: `demo.py "a red circle moving right"`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from demo_models import build_miniatures
from host_install import ensure
from hosts import MODELS, REPO, continue_under
from terminal import Failure, guarded, say

UNTRAINED_NOTE = (
    "These miniature models are NOT trained: the video shows the stages at work, not your prompt."
)


@dataclass(frozen=True)
class Cascade:
    """A workflow to run, the inputs that take the prompt, and whether its models are built for it."""

    workflow: Path
    prompt_input: str
    built: bool


MINI = Cascade(REPO / "example_workflows" / "Show-1 mini text to video (CPU).json", "Prompt.value", built=False)
UNTRAINED = Cascade(REPO / "tests" / "data" / "miniature_workflow.json", "Prompt.value", built=True)
CASCADE = MINI


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    host = ensure()
    continue_under(host)
    import runner
    from workflow import Setting, load

    if CASCADE.built:
        say(UNTRAINED_NOTE)
        build_miniatures(host)
    settings = [Setting(CASCADE.prompt_input, chosen.prompt)]
    if chosen.seed is not None:
        settings.append(Setting("*.seed", str(chosen.seed)))
    models = (MODELS,) if CASCADE.built else ()
    files = runner.run(host, runner.Job(load(CASCADE.workflow), chosen.output, settings, models))
    videos = [file for file in files if file.suffix == ".mp4"]
    if not videos:
        raise Failure(f"{CASCADE.workflow} ran to its end but wrote no .mp4; does it end in Save Video?")
    print(videos[-1], flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("prompt", help="what the video is to show")
    parser.add_argument("--seed", type=int, help="another video of the same prompt")
    parser.add_argument("--output", type=Path, default=REPO / "output", metavar="DIR")
    return parser


if __name__ == "__main__":
    guarded(main)
