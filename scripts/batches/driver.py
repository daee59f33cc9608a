"""Hands jobs to workers and puts away what comes back, until all is done or it is told to stop."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terminal import Failure
from workflows.workflow import Json

from .display import Display
from .jobs import Job, Plan, missing_nodes
from .manifest import DONE, FAILED, LOST, START, Manifest
from .pages import Pages
from .records import prompt_of, title_of, values_of
from .results import Broken, Store
from .schedule import Schedule
from .workers import Done, Failed, Lost, Outcome, Task, Unreachable, Worker

IDLE_SECONDS = 0.2  # between looks when there is nothing to take at the moment
LONGEST_PAUSE_SECONDS = 30  # between tries to reach a worker
PAGES_SECONDS = 60
ABORT_SECONDS = 5


@dataclass(frozen=True)
class Batch:
    """What is to be done, and where it goes."""

    plan: Plan
    store: Store
    manifest: Manifest
    schedule: Schedule


class Driver:
    """One run of a batch over its workers."""

    def __init__(self, batch: Batch, workers: list[Worker], in_flight: int, display: Display) -> None:
        self._batch = batch
        self._workers = workers
        self._in_flight = in_flight
        self.display = display
        self._stopping = False
        self._stopped = asyncio.Event()  # at once
        self._errands: set[asyncio.Task[Any]] = set()

    async def run(self, opened: dict[str, Json]) -> None:
        """Until every job has ended, or a stop; `opened` are the workers that are open already, with their nodes.

        Raises Failure when no worker is left, OSError when results cannot be written.
        """
        pages = asyncio.create_task(self._write_pages())
        serving = {asyncio.create_task(self._serve(worker, opened.get(worker.name))) for worker in self._workers}
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            while serving and not stopped.done():
                ended, _ = await asyncio.wait({*serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
                for task in ended - {stopped}:
                    task.result()  # raises what went wrong in it
                serving -= ended
        finally:
            await self._end([*serving, *self._errands, stopped, pages])
        if not self._stopping and not self._batch.schedule.is_finished:
            raise Failure("no worker is left; the same command goes on when there is one again.")

    def finish(self) -> None:
        """Start nothing more; what runs is finished."""
        self._stopping = True
        for worker in self._workers:
            self._errand(self._withdraw(worker))

    def stop(self) -> None:
        """End at once."""
        self._stopping = True
        self._stopped.set()

    @property
    def _is_over(self) -> bool:
        return self._stopping or self._batch.schedule.is_finished

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Nothing of the batch goes on after this."""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*map(self._leave, self._workers))
        await asyncio.to_thread(Pages(self._batch.store.folder, self._batch.manifest.state).write)

    async def _leave(self, worker: Worker) -> None:
        try:
            await asyncio.wait_for(worker.abort(), ABORT_SECONDS)
        except (Unreachable, asyncio.TimeoutError) as error:
            self.display.note(f"{worker.name} could not be told to stop: {error}")
        await worker.close()

    async def _serve(self, worker: Worker, info: Json | None) -> None:
        """Keep a worker at work, over all its deaths; one that comes to nothing too often is given up."""
        failures = 0
        while not self._is_over and failures != worker.patience:
            if failures:
                await self._pause(min(2**failures, LONGEST_PAUSE_SECONDS))
            try:
                made = await self._live(worker, info)
            except Unreachable as error:
                self.display.note(f"{worker.name}: {error}")
                made = 0
            self._batch.schedule.leave(worker.name)
            await worker.close()
            info, failures = None, 0 if made else failures + 1

    async def _live(self, worker: Worker, info: Json | None) -> int:
        """One life of a worker: how many jobs ended in it. Raises Unreachable."""
        info = info or await worker.open()
        lacking = missing_nodes(self._batch.plan.classes, info)
        if lacking:
            raise Unreachable(f"it has no {', '.join(lacking)}")
        held = await self._adopted(worker)
        before = self.display.tally.made.get(worker.name, 0)
        lanes = [self._lane(worker) for _ in range(self._in_flight)]
        await _together([*(self._attempt(worker, job, prompt_id) for job, prompt_id in held), *lanes])
        return self.display.tally.made.get(worker.name, 0) - before

    async def _adopted(self, worker: Worker) -> list[tuple[Job, str]]:
        """What an earlier batch left there and is still to be done; the rest of it is dropped."""
        adopted, others = [], []
        for job_id, prompt_id in (await worker.held()).items():
            job = self._batch.schedule.claim(job_id, worker.name)
            if job:
                adopted.append((job, prompt_id))
            else:
                others.append(prompt_id)
        if others:
            await worker.drop(others)
        return adopted

    async def _lane(self, worker: Worker) -> None:
        """One job after another, until there is none or the worker is lost."""
        while not self._is_over:
            job = self._batch.schedule.take(worker.name, len(self._workers))
            if job is None:
                await asyncio.sleep(IDLE_SECONDS)
            elif not await self._attempt(worker, job):
                return

    async def _attempt(self, worker: Worker, job: Job, prompt_id: str | None = None) -> bool:
        """Run a job and put its result away; False when the worker was lost."""
        batch, title = self._batch, title_of(self._batch.plan, job)
        part = batch.store.part()
        batch.manifest.write(START, id=job.id, row=job.rows[0], worker=worker.name,
                             attempt=batch.manifest.state.attempts[job.id] + 1)
        label = {"id": job.id, "row": job.rows[0], "values": values_of(job)}
        task = Task(job.id, batch.plan.graph(job), job.uploads, label, prompt_id)
        self.display.started(worker.name, title)
        how = ""
        try:
            outcome = await worker.run(task, part, lambda event: self.display.event(worker.name, event))
            how = await self._put_away(worker, job, part, outcome)
        finally:
            self.display.ended(worker.name, title, how)
            shutil.rmtree(part, ignore_errors=True)
        return not isinstance(outcome, Lost)

    async def _put_away(self, worker: Worker, job: Job, part: Path, outcome: Outcome) -> str:
        """Record what became of an attempt; how it ended, in words, if it did."""
        if isinstance(outcome, Done):
            try:
                digests = await asyncio.to_thread(self._batch.store.commit, job.id, part)
            except Broken as broken:
                outcome = Failed(str(broken))
            else:
                self._done(worker, job, outcome.seconds, digests)
                return f"{outcome.seconds:.1f} s"
        if isinstance(outcome, Failed):
            self._batch.schedule.end(job)
            self._fail(worker, job, outcome.reason)
            return f"failed: {outcome.reason}"
        if isinstance(outcome, Lost):
            return self._lose(worker, job, outcome)
        self._batch.schedule.put_back(job)
        return ""

    def _done(self, worker: Worker, job: Job, seconds: float, digests: dict[str, str]) -> None:
        attempt = self._batch.manifest.state.attempts[job.id]
        for row in job.rows:
            self._batch.manifest.write(DONE, id=job.id, row=row, worker=worker.name, seconds=round(seconds, 3),
                                       attempt=attempt, sha256=digests, prompt=prompt_of(self._batch.plan, job),
                                       values=values_of(job), error=None)
        self._batch.schedule.end(job)
        self.display.tally.done += 1
        self.display.tally.ends.append(asyncio.get_running_loop().time())

    def _fail(self, worker: Worker, job: Job, reason: str) -> None:
        attempt = self._batch.manifest.state.attempts[job.id]
        for row in job.rows:
            self._batch.manifest.write(FAILED, id=job.id, row=row, worker=worker.name, attempt=attempt,
                                       prompt=prompt_of(self._batch.plan, job), values=values_of(job), error=reason)
        self.display.tally.failed += 1

    def _lose(self, worker: Worker, job: Job, outcome: Lost) -> str:
        self._batch.manifest.write(LOST, id=job.id, row=job.rows[0], worker=worker.name, running=outcome.running,
                                   error=outcome.reason)
        if not outcome.running:
            self._batch.schedule.put_back(job)
            return ""
        if not self._batch.schedule.lost(job):
            return ""
        reason = f"set aside: two workers died while they ran it (the last: {outcome.reason})"
        self._fail(worker, job, reason)
        return reason

    async def _withdraw(self, worker: Worker) -> None:
        try:
            await worker.withdraw()
        except Unreachable as error:
            self.display.note(f"{worker.name}: {error}")

    async def _write_pages(self) -> None:
        pages = Pages(self._batch.store.folder, self._batch.manifest.state)
        while True:
            await asyncio.sleep(PAGES_SECONDS)
            await asyncio.to_thread(pages.write)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than there is something to wait for."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not self._is_over:
            await asyncio.sleep(IDLE_SECONDS)

    def _errand(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


async def _together(work: list[Coroutine[Any, Any, Any]]) -> None:
    """Side by side; the first error ends them all."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
