"""The commands of docs/evaluation.md: each is parsed by the command it calls, and its code does what the page says."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

import show1_core
from show1_core.evaluation import prompts

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / "docs" / "evaluation.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(re.sub(r"^    ", "", found, flags=re.MULTILINE))
            for found in re.findall(r'^    (?:python|vbench) (?:-c "[^"]*"|.*)$', PAGE, re.MULTILINE)]


def calling(*words: str) -> list[list[str]]:
    """The arguments of all commands that begin with these words."""
    return [command[len(words):] for command in COMMANDS if command[:len(words)] == list(words)]


def run_code_with(word: str) -> None:
    """Run the page's one piece of code that has this word."""
    found, = [command[2] for command in COMMANDS if command[1] == "-c" and word in command[2]]
    exec(found, {})  # noqa: S102 - it is this repository's own


def rows_of(table: str) -> list[dict[str, str]]:
    with Path(table).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    yield {name: importlib.import_module(name) for name in ("evaluate", "batch")}
    for name in [name for name in sys.modules if name.split(".")[0] in ("evaluate", "evaluating", "batch")]:
        del sys.modules[name]


def test_every_command_is_one_that_its_parser_takes(scripts: dict[str, ModuleType]) -> None:
    measured = [scripts["evaluate"]._parser().parse_args(command) for command in calling("python", "scripts/evaluate.py")]
    assert len(measured) > 10
    assert {metric for chosen in measured for metric in chosen.metrics} >= {"fvd", "fvd-tats", "is", "fid-vid", "clipsim"}
    drawn = [scripts["batch"]._parser().parse_args(command) for command in calling("python", "scripts/batch.py")]
    assert len(drawn) > 5
    for chosen in drawn:
        if chosen.workflow.name == "OWN.json":
            continue
        workflow = json.loads((REPO / chosen.workflow).read_text(encoding="utf-8"))
        inside = workflow["definitions"]["subgraphs"]
        titles = {node.get("title") for graph in (workflow, *inside) for node in graph["nodes"]}
        inputs = [*chosen.set, *(column.partition("=")[2] for column in chosen.column)]
        named = [name.split(".")[0] for name in inputs]
        assert {name for name in named if not name.startswith("#")} <= titles, chosen


def test_every_table_of_prompts_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("test_videodatainfo.json").write_text(json.dumps({
        "videos": [{"video_id": "video7010", "split": "test"}],
        "sentences": [{"video_id": "video7010", "caption": caption} for caption in ("a girl", "a woman sings")]}))
    for command in calling("python", "-m", "show1_core.evaluation.prompts"):
        assert prompts.main(command) == 0
    assert {file.name: len(prompts.read(file)) for file in Path().glob("*.csv")} == {
        "ucf101.csv": 10_000, "ucf101-2048.csv": 2048, "msrvtt.csv": 1, "captions.csv": 2, "compositional.csv": 200}


def write_batch(folder: Path, rows: list[tuple[str, str]]) -> None:
    """What the batch command leaves, of rows with id and prompt."""
    for name, prompt in rows:
        (folder / name).mkdir(parents=True)
        (folder / name / "clip_00001_.mp4").write_text(f"{name} {prompt}")
    with (folder / "prompts.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("id", "row", "prompt"), *((name, 1, prompt) for name, prompt in rows)])


def test_vbench_finds_five_clips_of_a_prompt_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("VBench", "prompts").mkdir(parents=True)
    Path("VBench", "prompts", "all_dimension.txt").write_text("a bird\na cat, and a dog\n")
    run_code_with("all_dimension")
    assert rows_of("vbench.csv") == [{"Prompt.value": prompt, "seed": "0-4"} for prompt in ("a bird", "a cat, and a dog")]
    write_batch(Path("drawn", "vbench"), [("i1", "a bird"), ("i2", "a cat, and a dog"), ("i3", "a bird")])
    run_code_with("shutil")
    assert {file.name: file.read_text() for file in Path("vbench").iterdir()} == {
        "a bird-0.mp4": "i1 a bird", "a bird-1.mp4": "i3 a bird", "a cat, and a dog-0.mp4": "i2 a cat, and a dog"}


def test_clips_of_another_model_are_given_to_the_latent_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_batch(Path("drawn", "latent"), [("i1", "a bird"), ("i2", "a cat")])
    run_code_with("larger.csv")
    rows = rows_of("larger.csv")
    assert [row["Prompt.value"] for row in rows] == ["a bird", "a cat"]
    assert [Path(row["Load Video.file"]).read_text() for row in rows] == ["i1 a bird", "i2 a cat"]


def test_the_clip_after_every_stage_is_kept_and_none_is_drawn_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    prompts.write([prompts.Prompt("a-0001", "a bird", 1), prompts.Prompt("b-0000", "a cat", 0)], Path("ucf101-2048.csv"))
    asked = []

    def pipe(prompt: str, seed: int) -> show1_core.Result:
        asked.append((prompt, seed))
        small, large = torch.full((29, 4, 6, 3), 1.2), torch.full((29, 8, 12, 3), 0.5)
        return show1_core.Result(torch.arange(8).view(8, 1, 1, 1).expand(8, 4, 6, 3) / 255, small, None, large, large)

    monkeypatch.setattr(show1_core, "Pipeline", SimpleNamespace(from_folder=lambda *_: pipe))
    for _ in range(2):
        run_code_with("Pipeline")
    assert asked == [("a bird", 1), ("a cat", 0)]
    for stage, frames in enumerate((16, 29, 29, 29), start=1):
        assert sorted(folder.name for folder in Path("stages", str(stage)).iterdir()) == ["a-0001", "b-0000"]
        assert len(list(Path("stages", str(stage), "a-0001").iterdir())) == frames
    levels = [Image.open(Path("stages", "1", "a-0001", f"{number:02}.png")).getpixel((0, 0))[0] for number in range(16)]
    assert levels == [number // 2 for number in range(16)]
    assert Image.open(Path("stages", "2", "a-0001", "00.png")).getpixel((0, 0)) == (255, 255, 255)
