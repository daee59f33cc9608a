"""Run a workflow once for every row of a table, on any number of machines; the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hosting.hosts import Host, continue_under, kept_host, own_host
from terminal import Failure, guarded, positive, say
from terminal.packages import use_library

if TYPE_CHECKING:
    from batches.results import Store
    from batches.workers import Worker

NEEDED = ("aiohttp", "av", "filelock", "PIL", "psutil")  # by the driver alone, where the hosts are elsewhere
NEEDED_TO_READ = ("filelock",)  # by --status


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not chosen.status and not (chosen.workflow and chosen.table):
        parser.error("name a workflow and its --table, or ask for the --status of a batch")
    host = None
    if chosen.status or chosen.servers:
        _find_packages(NEEDED_TO_READ if chosen.status else NEEDED)
    elif not chosen.ray or _lacking(NEEDED):
        from hosting.install import ensure

        host = ensure()
        continue_under(host)
    use_library()
    if chosen.status:
        from batches import status

        print(status.table(chosen.output))
        return 0
    return _run(chosen, host)


def _lacking(packages: Sequence[str]) -> list[str]:
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _find_packages(packages: Sequence[str]) -> None:
    """Carry on under a Python that has them: this one, or that of a ComfyUI that is there. Nothing is set up. Raises Failure."""
    lacking = _lacking(packages)
    if lacking:
        host = own_host() or kept_host()
        if host.python.is_file():
            continue_under(host)
        raise Failure(f"{sys.executable} has no {', '.join(lacking)}; use the Python that runs ComfyUI, which does, or run "
                      "`comfy.py setup` first.")


def _run(chosen: argparse.Namespace, host: Host | None) -> int:
    from batches import command
    from batches.results import Store
    from workflows.workflow import parse_setting

    settings = [parse_setting(text) for text in chosen.set]
    order = command.Order(chosen.workflow, chosen.table, chosen.output, settings, _meant(chosen.column), chosen.in_flight,
                          chosen.retry)
    store = Store(chosen.output.resolve())
    store.open()
    try:
        if command.execute(order, store, _workers(chosen, host, store)):
            return 0
    finally:
        store.close()
    say(f"not everything is done: `{Path(sys.argv[0]).name} --output {chosen.output} --status` says what is not")
    return 1


def _workers(chosen: argparse.Namespace, host: Host | None, store: Store) -> list[Worker]:
    from batches.command import client_id

    models = tuple(path.resolve() for path in chosen.models)
    if chosen.servers:
        from batches.servers import ServerWorker

        urls = dict.fromkeys(url.rstrip("/") for url in chosen.servers)
        return [ServerWorker(url, client_id(store.folder)) for url in urls]
    if chosen.ray:
        from batches.on_ray import ray_workers

        return list(ray_workers(chosen.ray, chosen.workers, models, store.folder))
    from batches.local import local_workers
    from hosting.server import Launch

    assert host is not None, "local workers need a host"
    return list(local_workers(host, Launch(models=models), chosen.workers, store.folder))


def _meant(texts: list[str]) -> dict[str, list[str]]:
    """`NAME=NODE.input`, as often as given, as what each name fills."""
    meant: dict[str, list[str]] = {}
    for text in texts:
        name, equals, target = text.partition("=")
        if not (name and equals and target):
            raise Failure(f"--column takes NAME=NODE.input (such as prompt=3.text), not {text!r}.")
        meant.setdefault(name, []).append(target)
    return meant


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise Failure(f"--output {path} is a file; name a folder.")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batch.py", description=__doc__)
    parser.add_argument("workflow", type=Path, nargs="?", metavar="WORKFLOW.json", help="UI or API format")
    parser.add_argument("--table", type=Path, metavar="FILE", help=".csv or .jsonl; columns are NODE.input")
    parser.add_argument("--output", type=_folder, required=True, metavar="DIR", help="results, manifest and pages")
    parser.add_argument("--workers", type=positive, default=0, metavar="N",
                        help="ComfyUI processes of our own (default: one a GPU, or one on the CPU); with --ray, actors")
    places = parser.add_mutually_exclusive_group()
    places.add_argument("--servers", nargs="+", metavar="URL", help="use ComfyUI servers that run already")
    places.add_argument("--ray", metavar="ADDRESS", help="use a Ray cluster (`auto`, `local`, or an address)")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.input=VALUE", help="for every row alike")
    parser.add_argument("--column", action="append", default=[], metavar="NAME=NODE.input",
                        help="what a column of another name fills; more than once for several inputs; #NAME is a note")
    parser.add_argument("--in-flight", type=positive, default=2, metavar="N", help="prompts a worker has at once (2)")
    parser.add_argument("--models", action="append", type=Path, default=[], metavar="DIR",
                        help="a folder like models/, searched beside the usual one")
    parser.add_argument("--retry", action="store_true", help="run rows again that failed or were set aside")
    parser.add_argument("--status", action="store_true", help="print what the batch in --output has done, and end")
    return parser


if __name__ == "__main__":
    guarded(main)
