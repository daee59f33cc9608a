"""From the command line to a batch that has run: workers, plan, what is done already, and the driver."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from terminal import Failure, say
from workflows import workflow
from workflows.workflow import Json, Setting

from . import table
from .display import display
from .driver import Batch, Driver
from .jobs import Plan, missing_nodes, plan
from .manifest import DONE, PLAN, Manifest
from .records import prompt_of, values_of
from .results import Store
from .schedule import Schedule
from .tally import Tally
from .workers import Unreachable, Worker

ACTIVE = 0  # a node's mode in a workflow as Save writes it
OF_THE_FRONTEND = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})


@dataclass(frozen=True)
class Order:
    """What the command line asks for."""

    workflow: Path
    table: Path
    output: Path
    settings: list[Setting] = field(default_factory=list)  # for every row alike
    meant: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what columns of other names fill
    in_flight: int = 2
    retry: bool = False


def execute(order: Order, store: Store, workers: list[Worker]) -> bool:
    """Run it to its end; whether every job is done. Raises Failure, which says all."""
    try:
        return asyncio.run(_execute(order, store, workers))
    except OSError as error:
        raise Failure(f"{store.folder} cannot be written to: {error}; the same command goes on when that is mended.") from error


def client_id(output: Path) -> str:
    """The same for every run of a batch: a server sends its events to whoever came last."""
    return "batch-" + hashlib.sha256(str(output.resolve()).encode("utf-8")).hexdigest()[:16]


async def _execute(order: Order, store: Store, workers: list[Worker]) -> bool:
    loaded, rows = workflow.load(order.workflow), table.read(order.table, order.meant)
    opened: dict[str, Json] = {}
    log = None
    try:
        opened.update(await _open(workers))
        info = next(iter(opened.values()))
        _check_nodes(loaded, opened)
        prompt = workflow.to_api(loaded, info)
        workflow.apply(order.settings, prompt, info)
        made = plan(prompt, rows, info)
        log = Manifest(store.folder)
        batch, tally = _batch(order, made, store, log)
        driver = Driver(batch, workers, order.in_flight, display(tally))
    except BaseException:
        await asyncio.gather(*(worker.close() for worker in workers))
        raise
    try:
        await _driven(driver, opened)
    finally:
        driver.display.close()
        log.close()
    return tally.done == tally.total


async def _open(workers: list[Worker]) -> dict[str, Json]:
    """Open workers until one says which nodes there are; servers that run already are all asked."""
    opened: dict[str, Json] = {}
    reasons: list[str] = []
    for worker in workers:
        if opened and worker.patience is not None:
            break
        try:
            opened[worker.name] = await worker.open()
        except Unreachable as error:
            reasons.append(str(error))
    if not opened:
        raise Failure(f"no worker can be reached: {'; '.join(dict.fromkeys(reasons))}.")
    for reason in reasons:
        say(f"note: {reason}; it is tried again.")
    return opened


def _check_nodes(loaded: Json, opened: dict[str, Json]) -> None:
    """Say before any row what a server lacks. Raises Failure."""
    classes = _classes(loaded)
    for name, info in opened.items():
        lacking = missing_nodes(classes, info)
        if lacking:
            raise Failure(f"{name} has no {', '.join(lacking)}, which the workflow needs; install the nodes there, or "
                          "leave it out.")


def _classes(loaded: Json) -> frozenset[str]:
    """The node types of a workflow, those inside its subgraphs as well."""
    if not workflow.is_ui(loaded):
        return frozenset(node["class_type"] for node in loaded.values())
    subgraphs = loaded.get("definitions", {}).get("subgraphs", [])
    nodes = [node for graph in (loaded, *subgraphs) for node in graph["nodes"] if node.get("mode", 0) == ACTIVE]
    return frozenset(node["type"] for node in nodes) - {graph["id"] for graph in subgraphs} - OF_THE_FRONTEND


def _batch(order: Order, made: Plan, store: Store, log: Manifest) -> tuple[Batch, Tally]:
    """What is still to be done; what is done but not in the log is written there."""
    done = store.done(made.jobs)
    attempts = log.state.attempts
    for job in (made.jobs[job_id] for job_id in sorted(done)):
        rows = [row for row in job.rows if (job.id, row) not in log.state.rows_done]
        digests = store.digests(job.id) if rows else {}
        for row in rows:
            log.write(DONE, id=job.id, row=row, worker=None, seconds=None, attempt=attempts[job.id], sha256=digests,
                      prompt=prompt_of(made, job), values=values_of(job), error=None)
    failed = set() if order.retry else log.state.failed.keys() & made.jobs.keys() - done
    left = [job for job in made.jobs.values() if job.id not in done and job.id not in failed]
    deaths = Counter[str]() if order.retry else log.state.deaths
    log.write(PLAN, jobs=len(made.jobs), rows=made.rows, workflow=str(order.workflow), table=str(order.table))
    say(f"{made.rows} rows, {len(made.jobs)} results: {len(done)} done, {len(failed)} failed before, {len(left)} to do")
    tally = Tally(len(made.jobs), len(done), len(failed))
    return Batch(made, store, log, Schedule(left, deaths)), tally


async def _driven(driver: Driver, opened: dict[str, Json]) -> None:
    """Run, with Ctrl-C once for an orderly end and twice for one at once."""
    loop = asyncio.get_running_loop()
    presses = 0

    def answer() -> None:
        nonlocal presses
        presses += 1
        say("finishing what runs; Ctrl-C again stops at once" if presses == 1 else "stopping")
        (driver.finish if presses == 1 else driver.stop)()

    # Answered by the loop: a press that came while another's words are printed would break them off.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: loop.call_soon_threadsafe(answer))
    try:
        await driver.run(opened)
    finally:
        signal.signal(signal.SIGINT, before)
