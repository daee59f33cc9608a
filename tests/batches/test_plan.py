"""Tables become jobs, or are refused: the row and the column are named."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from batches import jobs, table
from batches.jobs import Plan
from batches.session import named_outputs, safe_name
from fake_comfyui.main import NODES
from harness import WORKFLOW
from terminal import Failure


def planned(folder: Path, rows: Sequence[Sequence[Any]], **meant: Sequence[str]) -> Plan:
    file = folder / "table.csv"
    with file.open("w", encoding="utf-8", newline="") as written:
        csv.writer(written).writerows(rows)
    return jobs.plan(WORKFLOW, table.read(file, meant), NODES)


@pytest.mark.parametrize("rows, said", [
    ([("2.prompt", "2.colour"), ("a", "red")], "row 1, column '2.colour': FakePicture (node 2) has no input 'colour'"),
    ([("2.prompt", "9.seed"), ("a", "1")], "row 1, column '9.seed': no node has this id"),
    ([("prompt",), ("a",)], "row 1, column 'prompt': a column is named NODE.input"),
    ([("2.seed",), ("1",), ("1.5",)], "row 2, column '2.seed': seed is a whole number, not '1.5'"),
    ([("2.seed",), ("5-3",)], "row 1, column '2.seed': 5-3 is no range"),
    ([("2.seed",), ("-1",)], "row 1, column '2.seed': seed is -1; it lies between 0 and"),
    ([("2.strength",), ("0.5",), ("2",)], "row 2, column '2.strength': strength is 2.0; it lies between"),
    ([("2.strength",), ("much",)], "row 1, column '2.strength': strength is a number"),
    ([("2.is_bright",), ("TRUE",), ("yes",)], "row 2, column '2.is_bright': is_bright is true or false"),
    ([("2.style",), ("rich",), ("poor",)], "row 2, column '2.style': style is 'poor'; it is one of plain, rich"),
    ([("1.name",), ("three",)], "row 1, column '1.name': name is 'three'; it is one of one, two"),
    ([("2.model",), ("x",)], "row 1, column '2.model': model is fed by another node"),
    ([("2.image",), ("here.png",), ("gone.png",)], "row 2, column '2.image': image: there is no file"),
    ([("2.seed", "2.prompt"), ("1", "a", "b")], "row 1: 3 cells under 2 columns"),
    ([("2.seed", "2.seed"), ("1", "2")], "every column needs a name of its own"),
    ([("2.seed",)], "has no rows"),
])
def test_refusals(tmp_path: Path, rows: list[tuple[str, ...]], said: str) -> None:
    with pytest.raises(Failure) as refused:
        planned(tmp_path, rows)
    assert said in str(refused.value)


@pytest.mark.parametrize("text, said", [
    ('{"2.seed": 1}\n[2]\n', "row 2: a row is an object"),
    ('{"2.seed": 1}\n{"2.seed": 2', "row 2: not JSON"),
    ('{"2.seed": 1}\n{"2.seed": true}', "row 2, column '2.seed': seed is a whole number, not True"),
    ('{"2.seed": [1, "x"]}', "row 1, column '2.seed': seed is a whole number, not 'x'"),
    ('{"2.prompt": ["a"]}', "row 1, column '2.prompt': prompt is a text"),
])
def test_refusals_of_jsonl(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "table.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(Failure) as refused:
        jobs.plan(WORKFLOW, table.read(tmp_path / "table.jsonl"), NODES)
    assert said in str(refused.value)


@pytest.mark.parametrize("cell, seeds", [("7", [7]), ("0-2", [0, 1, 2]), ("1, 4-5,1", [1, 4, 5])])
def test_seeds_multiply(tmp_path: Path, cell: str, seeds: list[int]) -> None:
    plan = planned(tmp_path, [("2.prompt", "seed"), ("a", cell)])
    assert [plan.graph(job)["2"]["inputs"]["seed"] for job in plan.jobs.values()] == seeds


def test_identity(tmp_path: Path) -> None:
    """It is the filled graph's: not the order of columns, a title, a note, or the spelling of a number."""
    (one,) = planned(tmp_path, [("2.prompt", "seed", "2.strength"), ("a", "01", "0.50")]).jobs
    (two,) = planned(tmp_path, [("#note", "Picture.strength", "Picture.seed", "2.prompt"), ("n", ".5", "1", "a")]).jobs
    (three,) = planned(tmp_path, [("2.prompt", "seed"), ("a", "1")]).jobs
    (other,) = planned(tmp_path, [("2.prompt", "seed"), ("a", "2")]).jobs
    assert one == two == three != other


def test_equal_rows_are_one_job(tmp_path: Path) -> None:
    plan = planned(tmp_path, [("2.prompt", "seed"), ("a", "0-1"), ("a", "1")])
    assert [job.rows for job in plan.jobs.values()] == [(1,), (1, 2)] and plan.rows == 3


def test_jobs_know_what_they_load(tmp_path: Path) -> None:
    plan = planned(tmp_path, [("1.name", "2.prompt"), ("one", "a"), ("two", "a"), ("one", "b")])
    first, second, third = (job.loads for job in plan.jobs.values())
    assert first == third != second
    assert jobs.loaders(WORKFLOW, NODES) == ["1"]


def test_a_column_fills_several_inputs(tmp_path: Path) -> None:
    plan = planned(tmp_path, [("id", "text"), ("v1", "42")], id=["#id"], text=["2.prompt", "3.filename_prefix"])
    (job,) = plan.jobs.values()
    graph = plan.graph(job)
    assert graph["2"]["inputs"]["prompt"] == graph["3"]["inputs"]["filename_prefix"] == "42"


def test_long_table(tmp_path: Path) -> None:
    """All captions of MSR-VTT: planned in under 10 s of processor time and 500 MB."""
    captions = ((f"a video of thing number {number}, with some more words", number) for number in range(59_794))
    before, began = psutil.Process().memory_info().rss, time.process_time()
    plan = planned(tmp_path, [("2.prompt", "seed"), *captions])
    assert len(plan.jobs) == 59_794 and time.process_time() - began < 10
    assert psutil.Process().memory_info().rss - before < 500e6


def test_every_attempt_saves_to_a_place_of_its_own() -> None:
    named = named_outputs(WORKFLOW, "batch/id-1")
    assert named["3"]["inputs"]["filename_prefix"] == "batch/id-1/clip"
    assert json.dumps(WORKFLOW).count("video/clip") == 1


@pytest.mark.parametrize("name, safe", [("a_00001_.mp4", "a_00001_.mp4"), ("../../etc/passwd", "passwd"), ("..", "result"),
                                        ("C:\\x\\nul:1.png", "nul_1.png"), (".hidden", "hidden")])
def test_names_stay_in_their_folder(name: str, safe: str) -> None:
    assert safe_name(name) == safe
