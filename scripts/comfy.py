"""Set up, serve and run a real ComfyUI with this pack: `comfy.py setup | serve | run WORKFLOW.json`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hosting.hosts import REPO, continue_under
from hosting.install import ensure, ensure_for_tests
from hosting.torch_build import add_torch_index
from terminal import Failure, guarded, say


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    return chosen.command(chosen)


def setup(chosen: argparse.Namespace) -> int:
    """Set up whatever is missing."""
    host = ensure_for_tests(chosen.torch_index)
    say(f"ready: {host.source} with {host.python}")
    return 0


def serve(chosen: argparse.Namespace) -> int:
    """A server in the foreground, until Ctrl-C."""
    host = ensure()
    continue_under(host)
    from hosting.server import Launch, Server

    models = tuple(folder.resolve() for folder in chosen.models)
    launch = Launch(
        port=chosen.port,
        models=models,
        output=_output(chosen),
        log=False,
        arguments=("--preview-method", "auto"),
    )
    with Server(host, launch) as server:
        say(f"ComfyUI with Show-1 is at {server.url} (Ctrl-C ends it)")
        return server.wait()


def run(chosen: argparse.Namespace) -> int:
    """Run a workflow; the files it wrote are printed, one a line."""
    from workflows import workflow

    settings = [workflow.parse_setting(text) for text in chosen.set]
    loaded = workflow.load(chosen.workflow)
    host = ensure()
    continue_under(host)
    from workflows import runner

    job = runner.Job(loaded, _output(chosen), settings, tuple(chosen.models))
    for file in runner.run(host, job):
        print(file, flush=True)
    return 0


def _output(chosen: argparse.Namespace) -> Path:
    folder: Path = chosen.output
    if folder.exists() and not folder.is_dir():
        raise Failure(f"--output {folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfy.py",
        description=__doc__,
        epilog="COMFYUI_PATH and COMFYUI_PYTHON name a ComfyUI of your own; else one is kept in .comfyui/.",
    )
    commands = parser.add_subparsers(required=True, metavar="setup | serve | run")
    setting_up = commands.add_parser("setup", help="set up what is missing")
    add_torch_index(setting_up)
    setting_up.set_defaults(command=setup)
    serving = commands.add_parser("serve", help="start a server in the foreground")
    serving.add_argument("--port", type=int, default=8188)
    serving.set_defaults(command=serve)
    running = commands.add_parser("run", help="run a workflow and print the files it wrote")
    running.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="UI or API format")
    running.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NODE.input=VALUE",
        help="set an input; NODE is an id, a title, a node type, or * for every node that has the input",
    )
    running.set_defaults(command=run)
    for command in (serving, running):
        command.add_argument(
            "--models",
            action="append",
            type=Path,
            default=[],
            metavar="DIR",
            help="a folder like models/, searched beside the usual one",
        )
        command.add_argument("--output", type=Path, default=REPO / "output", metavar="DIR")
    return parser


if __name__ == "__main__":
    guarded(main)
