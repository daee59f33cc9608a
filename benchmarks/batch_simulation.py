"""How long a batch takes on many workers that fail: the policy of scripts/batches/schedule.py, run against simulated time.

`python benchmarks/batch_simulation.py` prints the table of docs/batches.md.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

from batches.jobs import Job  # noqa: E402
from batches.schedule import Schedule  # noqa: E402

PROTOCOLS = {"UCF-101, 2,048 clips": 2_048, "MSR-VTT, a caption a video": 2_990, "UCF-101, 10,000 clips": 10_000,
             "MSR-VTT, all captions": 59_794}
SECONDS_A_CLIP = {"paper, card not named": 178, "a hosted A100": 420, "EvalCrafter": 660}


@dataclass(frozen=True)
class Model:
    """Workers that take a while for a clip, die by chance, and come back."""

    workers: int = 64
    seconds: float = 178  # a clip, in the mean
    spread: float = 0.1  # standard deviation of a clip's time, as a share of it
    deaths_an_hour: float = 0.01  # of one worker
    start_seconds: float = 300  # until a dead worker is there again, its models loaded
    in_flight: int = 2


@dataclass
class Worker:
    """A worker at some moment: what it has, the first of it running; `life` tells its events from those of earlier lives."""

    name: str
    life: int = 0
    is_up: bool = False

    def __post_init__(self) -> None:
        self.has: deque[Job] = deque()


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    makespan: float  # seconds
    ideal: float  # were nothing to fail and all to end together
    done: int
    deaths: int
    again: int  # attempts beyond the first
    set_aside: int


class Simulation:
    """One run of a batch in simulated time."""

    def __init__(self, jobs: list[Job], model: Model, seed: int) -> None:
        self.model, self.chance = model, random.Random(seed)
        self.schedule = Schedule(jobs)
        self.workers = [Worker(f"worker {number}") for number in range(model.workers)]
        self.now = 0.0
        self.ideal = len(jobs) * model.seconds / model.workers
        self.done = self.deaths = self.again = self.set_aside = 0
        self._events: list[tuple[float, int, str, Worker, int]] = []
        self._counter = 0
        for worker in self.workers:
            self._come_up(worker, 0)

    def run(self) -> Outcome:
        """Until every job is done or set aside."""
        while not self.schedule.is_finished:
            self.now, _, kind, worker, life = heapq.heappop(self._events)
            if life == worker.life:
                getattr(self, f"_on_{kind}")(worker)
        return Outcome(self.now, self.ideal, self.done, self.deaths, self.again, self.set_aside)

    def _on_up(self, worker: Worker) -> None:
        worker.is_up = True
        self._fill()

    def _on_done(self, worker: Worker) -> None:
        job = worker.has.popleft()
        self.schedule.end(job)
        self.done += 1
        self._begin(worker)
        self._fill()

    def _on_death(self, worker: Worker) -> None:
        """What ran is lost; what waited goes back unharmed, as the driver does it."""
        self.deaths += 1
        worker.life += 1
        worker.is_up = False
        if worker.has:
            self.again += 1
            self.set_aside += self.schedule.lost(worker.has.popleft())
        while worker.has:
            self.schedule.put_back(worker.has.pop())
        self._come_up(worker, self.model.start_seconds)
        self._fill()

    def _fill(self) -> None:
        """Free lanes take what there is; each worker gets its first before any gets a second."""
        for lane in range(1, self.model.in_flight + 1):
            for worker in self.workers:
                if worker.is_up and len(worker.has) < lane:
                    self._take(worker)

    def _take(self, worker: Worker) -> None:
        job = self.schedule.take(worker.name, self.model.workers)
        if job:
            worker.has.append(job)
            if len(worker.has) == 1:
                self._begin(worker)

    def _begin(self, worker: Worker) -> None:
        if worker.has:
            seconds = max(0.0, self.chance.gauss(self.model.seconds, self.model.seconds * self.model.spread))
            self._at(seconds, "done", worker)

    def _come_up(self, worker: Worker, seconds: float) -> None:
        self._at(seconds, "up", worker)
        if self.model.deaths_an_hour:
            self._at(seconds + self.chance.expovariate(self.model.deaths_an_hour / 3600), "death", worker)

    def _at(self, seconds: float, kind: str, worker: Worker) -> None:
        self._counter += 1
        heapq.heappush(self._events, (self.now + seconds, self._counter, kind, worker, worker.life))


def rows(count: int, models: int = 1) -> list[Job]:
    """Jobs of as many rows; neighbours load the same models."""
    return [Job(f"{number:016x}", (number,), (), str(number * models // count), ()) for number in range(count)]


def main() -> None:
    """Print the tables."""
    print("  clips  workers  deaths/h   hours   ideal    over  deaths  again  aside")
    for count, workers, deaths in [(59_794, 64, 0.0), (59_794, 64, 0.01), (59_794, 64, 0.1), (59_794, 64, 1.0), (2_990, 64, 0.01),
                                   (2_048, 64, 0.01), (2_048, 8, 0.01)]:
        found = Simulation(rows(count), Model(workers=workers, deaths_an_hour=deaths), seed=0).run()
        print(f"{count:7} {workers:8} {deaths:9} {found.makespan / 3600:7.2f} {found.ideal / 3600:7.2f} "
              f"{found.makespan / found.ideal - 1:7.2%} {found.deaths:7} {found.again:6} {found.set_aside:6}")
    print("\nGPU hours:", ", ".join(SECONDS_A_CLIP))
    for name, count in PROTOCOLS.items():
        print(f"{name:28}", *(f"{count * seconds / 3600:9,.0f}" for seconds in SECONDS_A_CLIP.values()))


if __name__ == "__main__":
    main()
