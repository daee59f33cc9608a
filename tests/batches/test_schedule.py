"""Who gets which job."""

from __future__ import annotations

from collections import Counter

from batches.jobs import Job
from batches.schedule import Schedule


def job(number: int, loads: str = "m", row: int | None = None) -> Job:
    return Job(f"{number:016x}", (number if row is None else row,), (), loads, ())


def taken(schedule: Schedule, worker: str, workers: int = 1) -> int | None:
    found = schedule.take(worker, workers)
    return int(found.id, 16) if found else None


def test_a_worker_keeps_to_its_models() -> None:
    """Each starts with the models of the most jobs that nobody works on; who has none helps the richest, from the end."""
    schedule = Schedule([job(0, "a"), job(1, "b"), job(2, "a"), job(3, "b"), job(4, "a"), job(5, "a")])
    assert [taken(schedule, "x"), taken(schedule, "y"), taken(schedule, "x"), taken(schedule, "y")] == [0, 1, 2, 3]
    assert [taken(schedule, "y"), taken(schedule, "x"), taken(schedule, "x")] == [5, 4, None]


def test_seeds_of_a_row_stay_together() -> None:
    schedule = Schedule([job(number, row=number // 3) for number in range(9)])
    assert taken(schedule, "x") == 0  # 8 are left: the cut at 4 moves to the beginning of row 2
    assert taken(schedule, "y") == 6


def test_near_the_end_nobody_gets_one_ahead() -> None:
    schedule = Schedule([job(number) for number in range(4)])
    assert taken(schedule, "x", 2) == 0 and taken(schedule, "x", 2) == 1 and taken(schedule, "x", 2) == 2
    assert taken(schedule, "x", 2) is None and taken(schedule, "y", 2) == 3


def test_a_job_that_kills() -> None:
    """After one death it comes last; after two it is set aside."""
    jobs = [job(number) for number in range(3)]
    schedule = Schedule(jobs)
    assert taken(schedule, "x") == 0 and not schedule.lost(jobs[0])
    for expected in (1, 2, 0):
        assert taken(schedule, "x") == expected
        if expected:
            schedule.end(jobs[expected])
    assert schedule.lost(jobs[0]) and schedule.is_finished


def test_deaths_are_remembered() -> None:
    jobs = [job(number) for number in range(2)]
    schedule = Schedule(jobs, Counter({jobs[0].id: 1}))
    assert taken(schedule, "x") == 1 and taken(schedule, "x") == 0 and schedule.lost(jobs[0])


def test_what_a_worker_gives_back_is_for_others() -> None:
    jobs = [job(number) for number in range(3)]
    schedule = Schedule(jobs)
    assert taken(schedule, "x") == 0
    schedule.put_back(jobs[0])
    schedule.leave("x")
    assert taken(schedule, "y") == 0 and schedule.claim(jobs[2].id, "z") == jobs[2]
    assert schedule.claim(jobs[2].id, "z") is None and taken(schedule, "y") == 1 and taken(schedule, "y") is None
