"""Which job next, for which worker. No clock, no network: the simulation runs this very code.

Jobs that load the same models form a run, in the order of the table. A worker that has nothing takes a run that
nobody works on, the longest first; where there is none it takes the second half of what the richest worker still
has. So a worker seldom changes models, neighbours in the table meet in one host's cache, and all end together.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from .jobs import Job
from .manifest import DEATHS


class Schedule:
    """The jobs that are still to be done."""

    def __init__(self, jobs: Iterable[Job], deaths: Counter[str] | None = None) -> None:
        self._deaths = Counter(deaths or {})
        self._running: dict[str, str] = {}  # job id and worker
        self._suspects: deque[Job] = deque()  # they killed a worker once: they come last
        self._own: dict[str, deque[Job]] = {}  # by worker
        self._left = 0
        runs: dict[str, deque[Job]] = {}
        for job in jobs:
            self._left += 1
            (self._suspects if self._deaths[job.id] else runs.setdefault(job.loads, deque())).append(job)
        self._runs = sorted(runs.values(), key=len)  # the longest is taken first, from the end

    @property
    def is_finished(self) -> bool:
        """Whether every job was ended or set aside."""
        return not self._left

    @property
    def waiting(self) -> int:
        """Jobs that no worker has."""
        return self._left - len(self._running)

    def running(self, worker: str) -> list[str]:
        """The jobs a worker has, in the order it was given them."""
        return [job_id for job_id, owner in self._running.items() if owner == worker]

    def take(self, worker: str, workers: int = 1) -> Job | None:
        """The next job for a worker; None when there is none for it now.

        Near the end, when fewer jobs wait than there are workers, nobody gets a second one ahead.
        """
        if self.waiting < workers and self.running(worker):
            return None
        own = self._own.setdefault(worker, deque())
        if not own:
            own.extend(self._fresh())
        if not own and not self._suspects:
            return None
        job = own.popleft() if own else self._suspects.popleft()
        self._running[job.id] = worker
        return job

    def claim(self, job_id: str, worker: str) -> Job | None:
        """A certain job, for a worker that turned out to have it; None if it is not to be had."""
        for jobs in (*self._runs, *self._own.values(), self._suspects):
            found = next((job for job in jobs if job.id == job_id), None)
            if found:
                jobs.remove(found)
                self._running[job_id] = worker
                return found
        return None

    def end(self, job: Job) -> None:
        """The job is done, or failed for good."""
        del self._running[job.id]
        self._left -= 1

    def put_back(self, job: Job) -> None:
        """The worker gives the job back, unharmed."""
        worker = self._running.pop(job.id)
        (self._suspects if self._deaths[job.id] else self._own.setdefault(worker, deque())).appendleft(job)

    def lost(self, job: Job) -> bool:
        """The worker died while it ran this job. True if it is the second one: the job is then set aside."""
        self._deaths[job.id] += 1
        if self._deaths[job.id] >= DEATHS:
            self.end(job)
            return True
        del self._running[job.id]
        self._suspects.append(job)
        return False

    def leave(self, worker: str) -> None:
        """The worker is gone; what it had before it is for the others."""
        own = self._own.pop(worker, None)
        if own:
            self._runs.append(own)

    def _fresh(self) -> Sequence[Job]:
        """A run that nobody works on, else half of the longest that somebody does."""
        while self._runs:
            run = self._runs.pop()
            if run:
                return run
        richest = max(self._own.values(), key=len, default=deque())
        kept = _cut(richest)
        return [richest.pop() for _ in range(len(richest) - kept)][::-1]


def _cut(jobs: deque[Job]) -> int:
    """How many jobs stay: half, and the rest of the row that the middle lies in, if that is not all of them."""
    half = len(jobs) // 2
    cut = half
    while 0 < cut < len(jobs) and jobs[cut].rows == jobs[cut - 1].rows:
        cut += 1
    return half if cut == len(jobs) else cut
