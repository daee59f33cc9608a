"""How a job is called in the manifest, in result files and at the terminal."""

from __future__ import annotations

from typing import Any

from .columns import Upload
from .jobs import Job, Plan

TITLE_LENGTH = 48


def values_of(job: Job) -> dict[str, Any]:
    """The job's cells, by column; an uploaded file by its path."""
    return {name: str(value.path) if isinstance(value, Upload) else value for name, value in job.cells}


def prompt_of(plan: Plan, job: Job) -> str | None:
    """The first of the job's texts, in the order of the table's columns; None if no column fills a text."""
    for name, value in job.cells:
        if any(entry.kind == "STRING" and entry.name != "filename_prefix" for entry in plan.columns[name].inputs):
            return value
    return None


def title_of(plan: Plan, job: Job) -> str:
    """The row, the beginning of its prompt, and what tells its results apart."""
    text = prompt_of(plan, job) or ", ".join(f"{name} {value}" for name, value in values_of(job).items())
    text = " ".join(text.split())
    short = text if len(text) <= TITLE_LENGTH else text[:TITLE_LENGTH - 3] + "..."
    seeds = "".join(f", {name} {value}" for name, value in job.cells if plan.columns[name].multiplies)
    return f"row {job.rows[0]} {short!r}{seeds}"
