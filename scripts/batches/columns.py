"""What a column of the table fills, and which values it takes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from terminal import Failure
from workflows import workflow
from workflows.workflow import Json

from .table import NOTE, Table

SEVERAL = ("seed", "noise_seed", "take")  # inputs that take `0-7` or `1,4,6`: the row multiplies
UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload")
FOLDER = "batch"  # in the server's input folder
MOST = 1_000_000  # values of one cell


class Bad(ValueError):
    """A value that an input does not take; the text says why."""


@dataclass(frozen=True)
class Upload:
    """A file of ours and its name on the server, which follows from what is in it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Input:
    """An input of a node: its type, and what the server says about it."""

    node_id: str
    name: str
    kind: str
    options: Json
    before: Any  # its value in the workflow

    @property
    def takes_files(self) -> bool:
        return any(self.options.get(flag) for flag in UPLOADS)


@dataclass(frozen=True)
class Column:
    """A column and the inputs that it fills; none for a note."""

    name: str
    inputs: tuple[Input, ...]
    folder: Path  # paths in it start here

    @property
    def multiplies(self) -> bool:
        return any(entry.name in SEVERAL for entry in self.inputs)

    def values(self, cell: Any) -> list[Any]:
        """The values of a cell, one for each job that the row becomes. Raises Bad."""
        if not self.inputs:
            return [cell]
        return [self._checked(value) for value in (_several(cell) if self.multiplies else [cell])]

    def _checked(self, value: Any) -> Any:
        checked = [check(entry, value, self.folder) for entry in self.inputs]
        return checked[0]


def columns(table: Table, prompt: Json, object_info: Json) -> list[Column]:
    """Every column of the table. Raises Failure for one that names no input."""
    return [Column(name, _inputs(name, table, prompt, object_info), table.path.resolve().parent) for name in table.columns]


def check(entry: Input, value: Any, folder: Path) -> Any:
    """The value as the input takes it; an Upload for a file of ours. Raises Bad."""
    if entry.kind in _CHECKS:
        return _CHECKS[entry.kind](entry, value)
    if entry.kind == "COMBO":
        return _choice(entry, value, folder)
    if isinstance(entry.before, list):
        raise Bad(f"{entry.name} is fed by another node ({entry.kind}) and takes no value")
    return workflow.value_of(value, entry.before) if isinstance(value, str) else value


def _inputs(column: str, table: Table, prompt: Json, object_info: Json) -> tuple[Input, ...]:
    """Raises Failure, with the first row that uses the column."""
    first = next(row.number for row in table.rows if column in row.cells)
    found: list[Input] = []
    for target in table.targets(column):
        if target.startswith(NOTE):
            continue
        try:
            found += _named(target, prompt, object_info)
        except Failure as failure:
            raise Failure(f"{table.path}, row {first}, column {column!r}: {failure}") from failure
    return tuple(found)


def _named(target: str, prompt: Json, object_info: Json) -> list[Input]:
    """The inputs that NODE.input means. Raises Failure."""
    target = f"*.{target}" if target == "seed" else target
    if "." not in target.strip("."):
        raise Failure(f"a column is named NODE.input (such as 3.seed), or {NOTE}something for a note; --column says what "
                      "one of another name fills.")
    try:
        found = workflow.targets(target, prompt, object_info)
    except Failure as failure:
        raise Failure(str(failure).removeprefix(f"--set {target}: ")) from failure
    return [_input(node_id, name, prompt[node_id], object_info) for node_id, name in found]


def _input(node_id: str, name: str, node: Json, object_info: Json) -> Input:
    declared = object_info.get(node["class_type"], {}).get("input", {})
    spec: list[Any] = declared.get("required", {}).get(name) or declared.get("optional", {}).get(name) or ["*"]
    options: Json = dict(spec[1]) if len(spec) > 1 else {}
    if isinstance(spec[0], list):
        options["options"] = spec[0]
    return Input(node_id, name, "COMBO" if isinstance(spec[0], list) else spec[0], options, node["inputs"].get(name))


def _several(cell: Any) -> list[Any]:
    """`0-3,7` is 0, 1, 2, 3 and 7; a list is itself; anything else is one value."""
    if isinstance(cell, list):
        return cell
    if not isinstance(cell, str) or not re.fullmatch(r"\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*", cell):
        return [cell]
    values: list[int] = []
    for part in cell.split(","):
        first, _, last = part.partition("-")
        ends = int(first), int(last or first)
        if not 0 <= ends[1] - ends[0] < MOST - len(values):
            raise Bad(f"{part.strip()} is no range: the smaller number first, and at most {MOST} of them")
        values += range(ends[0], ends[1] + 1)
    return list(dict.fromkeys(values))


def _integer(entry: Input, value: Any) -> int:
    try:
        number = int(value.strip()) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int):
        raise Bad(f"{entry.name} is a whole number, not {value!r}")
    return _within(entry, number)


def _number(entry: Input, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or number != number:
        raise Bad(f"{entry.name} is a number, not {value!r}")
    return _within(entry, number)


def _within(entry: Input, number: Any) -> Any:
    low, high = entry.options.get("min"), entry.options.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        raise Bad(f"{entry.name} is {number}; it lies between {low} and {high}")
    return number


def _flag(entry: Input, value: Any) -> bool:
    named = {"true": True, "false": False}
    chosen = value if isinstance(value, bool) else named.get(str(value).strip().lower())
    if chosen is None:
        raise Bad(f"{entry.name} is true or false, not {value!r}")
    return chosen


def _text(entry: Input, value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise Bad(f"{entry.name} is a text, not {json.dumps(value)[:60]}")
    return value if isinstance(value, str) else json.dumps(value)


def _choice(entry: Input, value: Any, folder: Path) -> Any:
    """One of the server's options, or the path of a file that is to be uploaded."""
    options = entry.options.get("options")
    if entry.takes_files:
        path = folder / str(value)
        if path.is_file():
            return _upload(path)
        if value not in (options or []):
            raise Bad(f"{entry.name}: there is no file {path}, and none of this name on the server")
    elif options is not None and value not in options and str(value) not in map(str, options):
        listed = ", ".join(map(str, options[:8])) + (", ..." if len(options) > 8 else "")
        raise Bad(f"{entry.name} is {value!r}; it is one of {listed or 'no options at all'}")
    return next((option for option in options or [] if str(option) == str(value)), value)


@cache
def _upload(path: Path) -> Upload:
    """Read once for a table that names it often."""
    from show1_core.digests import sha256_of

    try:
        digest = sha256_of(path)[:16]
    except OSError as error:
        raise Bad(f"{path} cannot be read: {error.strerror}") from error
    return Upload(path, f"{FOLDER}/{digest}{path.suffix.lower()}")


_CHECKS = {"INT": _integer, "FLOAT": _number, "BOOLEAN": _flag, "STRING": _text}
