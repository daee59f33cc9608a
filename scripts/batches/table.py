"""Reads the table: CSV with a header, or JSONL with an object a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terminal import Failure

NOTE = "#"  # a column of this beginning is kept with the result, and fills nothing


@dataclass(frozen=True)
class Row:
    """A line of the table; `number` counts from 1, without the header. Cells that are empty are left out."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """All rows, every column that occurs, and what columns fill that are not named for it."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]
    meant: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def targets(self, column: str) -> Sequence[str]:
        """What a column fills, as NODE.input; the column's own name where nothing else was said."""
        return self.meant.get(column, (column,))


def read(path: Path, meant: Mapping[str, Sequence[str]] | None = None) -> Table:
    """The whole table. Raises Failure, with row and column, for what cannot be read."""
    readers = {".csv": _csv, ".jsonl": _jsonl}
    if path.suffix.lower() not in readers:
        raise Failure(f"--table {path} is neither .csv nor .jsonl; save the table as one of these.")
    try:
        rows = list(readers[path.suffix.lower()](path))
    except OSError as error:
        raise Failure(f"the table {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"the table {path} cannot be read ({error}); save it as UTF-8.") from error
    if not rows:
        raise Failure(f"the table {path} has no rows.")
    columns = tuple(dict.fromkeys(column for row in rows for column in row.cells))
    absent = [name for name in meant or {} if name not in columns]
    if absent:
        raise Failure(f"--column {absent[0]}: the table {path} has no such column; it has {', '.join(columns)}.")
    return Table(path, columns, rows, meant or {})


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:  # the mark that spreadsheets put in front is dropped
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        twice = {name for name in header if header.count(name) > 1}
        if twice or "" in header:
            raise Failure(f"{path}: every column needs a name of its own; the header is {', '.join(header)}.")
        for number, cells in enumerate((cells for cells in reader if cells), start=1):
            if len(cells) > len(header):
                raise Failure(f"{path}, row {number}: {len(cells)} cells under {len(header)} columns; "
                              "a text that holds a comma has to stand in quotation marks.")
            yield Row(number, {name: cell for name, cell in zip(header, cells) if cell != ""})


def _jsonl(path: Path) -> Iterator[Row]:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        try:
            cells = json.loads(line)
        except ValueError as error:
            raise Failure(f"{path}, row {number}: not JSON ({error}).") from error
        if not isinstance(cells, dict):
            raise Failure(f"{path}, row {number}: a row is an object such as {{\"3.seed\": 7}}, not {line.strip()[:40]}.")
        yield Row(number, {name: cell for name, cell in cells.items() if cell is not None})
