"""What is to be made: each row of the table fills the workflow, and the filled graph names the job."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from terminal import Failure
from workflows.workflow import Json

from .columns import Bad, Column, Upload, columns
from .table import Row, Table

# What nodes pass on that is no model. A node that gives none of these, and is fed by none, loads.
DATA = frozenset({
    "IMAGE", "MASK", "LATENT", "CONDITIONING", "INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "VIDEO", "AUDIO", "NOISE", "SIGMAS",
    "SAMPLER", "GUIDER"})


@dataclass(frozen=True)
class Job:
    """One graph to run. Rows that fill the workflow alike are one job."""

    id: str
    rows: tuple[int, ...]
    cells: tuple[tuple[str, Any], ...]  # column and value, as the first of its rows has them
    loads: str  # equal for jobs that need the same models
    uploads: tuple[Upload, ...]


@dataclass(frozen=True)
class Plan:
    """All jobs, in the order of the table, and the workflow that they fill."""

    prompt: Json
    columns: dict[str, Column]
    jobs: dict[str, Job]
    classes: frozenset[str]

    @property
    def rows(self) -> int:
        return sum(len(job.rows) for job in self.jobs.values())

    def graph(self, job: Job) -> Json:
        """The workflow with the job's values in it."""
        return self.prompt | _changed(self.prompt, self.columns, job.cells)


def plan(prompt: Json, table: Table, object_info: Json) -> Plan:
    """Check the whole table against the workflow. Raises Failure, with row and column, before anything is run."""
    classes = frozenset(node["class_type"] for node in prompt.values())
    known = {column.name: column for column in columns(table, prompt, object_info)}
    digests = {node_id: digest(node) for node_id, node in prompt.items()}
    loading = loaders(prompt, object_info)
    rows: dict[str, list[int]] = {}
    jobs: dict[str, Job] = {}
    for row, cells in _filled(table, known):
        own = digests | {node_id: digest(node) for node_id, node in _changed(prompt, known, cells).items()}
        job_id = _id(own)
        rows.setdefault(job_id, []).append(row.number)
        if job_id not in jobs:
            loads = _id({node_id: own[node_id] for node_id in loading})
            uploads = tuple(value for _, value in cells if isinstance(value, Upload))
            jobs[job_id] = Job(job_id, (row.number,), cells, loads, uploads)
    merged = {job_id: _of_rows(job, rows[job_id]) for job_id, job in jobs.items()}
    return Plan(prompt, known, merged, classes)


def digest(node: Json) -> str:
    """What a node does, as a hash: its class and inputs; its title changes nothing."""
    text = json.dumps([node["class_type"], node["inputs"]], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def loaders(prompt: Json, object_info: Json) -> list[str]:
    """The nodes that load models: they give no data, and neither does anything that feeds them."""

    def feeders(node: Json) -> Iterator[str]:
        return (value[0] for value in node["inputs"].values() if isinstance(value, list) and value and value[0] in prompt)

    found: dict[str, bool] = {}

    def loads(node_id: str) -> bool:
        if node_id not in found:
            found[node_id] = False  # a circle loads nothing
            given = object_info.get(prompt[node_id]["class_type"], {}).get("output") or ["IMAGE"]
            found[node_id] = not DATA & {str(kind) for kind in given} and all(map(loads, feeders(prompt[node_id])))
        return found[node_id]

    return sorted(node_id for node_id in prompt if loads(node_id))


def missing_nodes(classes: frozenset[str], object_info: Json) -> list[str]:
    """The node types of the workflow that a server does not have."""
    return sorted(classes - set(object_info))


def _filled(table: Table, known: dict[str, Column]) -> Iterator[tuple[Row, tuple[tuple[str, Any], ...]]]:
    """Every row with its values; a row of several seeds comes as often as it has them."""
    for row in table.rows:
        choices = [[(name, value) for value in _values(table, row, known[name])] for name in row.cells]
        for cells in itertools.product(*choices):
            yield row, cells


def _values(table: Table, row: Row, column: Column) -> list[Any]:
    try:
        return column.values(row.cells[column.name])
    except Bad as bad:
        raise Failure(f"{table.path}, row {row.number}, column {column.name!r}: {bad}.") from bad


def _changed(prompt: Json, known: dict[str, Column], cells: tuple[tuple[str, Any], ...]) -> Json:
    """The nodes that the cells change, changed."""
    nodes: Json = {}
    for name, value in cells:
        plain = value.name if isinstance(value, Upload) else value
        for entry in known[name].inputs:
            node = nodes.get(entry.node_id) or prompt[entry.node_id]
            nodes[entry.node_id] = node | {"inputs": node["inputs"] | {entry.name: plain}}
    return nodes


def _id(digests: dict[str, str]) -> str:
    text = "\n".join(f"{node_id} {digests[node_id]}" for node_id in sorted(digests))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _of_rows(job: Job, rows: list[int]) -> Job:
    return job if len(rows) == 1 else Job(job.id, tuple(rows), job.cells, job.loads, job.uploads)
