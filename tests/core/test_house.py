"""The house: which room may import which, who knows the host, how long a file and a function may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("show1_core", "nodes", "mini", "benchmarks", "scripts")
PRODUCT = sorted(file for room in ROOMS for file in (REPO / room).rglob("*.py"))
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview", "node_helpers",
        "server"}
LINES, NODE_LINES, FUNCTION_LINES = 300, 150, 50
KERNEL_LINES = 1080  # of the whole room: what has no caller or does not win goes

# (room or file, what of this repository it may import): of the rows that a file lies in, the narrowest holds
DOORS: list[tuple[str, set[str]]] = [
    ("show1_core", {"show1_core"}),
    ("show1_core/kernels", {"show1_core.kernels"}),
    ("show1_core/models", {"show1_core.kernels", "show1_core.models"}),
    ("show1_core/schedule.py", set()),
    ("show1_core/stages.py", {"show1_core.schedule"}),
    ("show1_core/time_windows.py", set()),
    ("show1_core/cascade.py", {"show1_core.schedule", "show1_core.stages", "show1_core.time_windows"}),
    ("nodes", {"nodes", "show1_core"}),
    ("nodes/host", {"nodes.host", "nodes.run", "nodes.sheets", "nodes.titles", "show1_core"}),
    ("mini", {"mini", "show1_core"}),
    *((f"mini/{file}.py", {"mini", "show1_core", "benchmarks.judge"}) for file in ("evaluate", "stills_seen")),
    ("mini/ablation.py", {"mini", "show1_core", "benchmarks.measure"}),
    ("benchmarks", {"benchmarks", "mini", "show1_core"}),
    ("benchmarks/batch_simulation.py", {"scripts.batches.jobs", "scripts.batches.schedule"}),
    ("benchmarks/few_steps.py", {"benchmarks", "mini", "show1_core", "scripts.terminal"}),
    *((f"benchmarks/{file}.py", {"benchmarks", "mini", "show1_core", "scripts.hosting", "scripts.terminal", "scripts.workflows"})
      for file in ("judge_cascade", "judge_batch")),
    ("scripts", {"scripts", "show1_core"}),
    ("scripts/batches", {"scripts.batches", "scripts.hosting", "scripts.terminal", "scripts.workflows", "show1_core.digests"}),
    ("scripts/evaluating", {"scripts.evaluating", "scripts.terminal", "show1_core"}),
    ("scripts/hosting", {"scripts.hosting", "scripts.terminal"}),
    ("scripts/hub", {"scripts.hub", "scripts.terminal"}),
    ("scripts/templating", {"scripts.templating", "scripts.hosting"}),
    ("scripts/terminal", {"scripts.terminal"}),
    ("scripts/testing", {"scripts.testing", "scripts.hosting", "scripts.terminal"}),
    ("scripts/thumbnails.py", {"scripts", "mini"}),
    ("scripts/workflows", {"scripts.workflows", "scripts.hosting", "scripts.terminal"}),
]
# (room or file, which packages it may import beside the standard library and this repository)
PACKAGES: list[tuple[str, set[str]]] = [
    ("show1_core/kernels", {"torch", "triton"}),
    ("show1_core", {"torch", "numpy", "PIL", "einops", "safetensors", "diffusers", "transformers", "av", "tqdm", "triton",
                    "ftfy"}),  # only where it is installed
    ("nodes", {"torch", "numpy", "PIL", "einops", "psutil", *HOST}),
]


# What scripts/ and benchmarks/ hold, by the bare name under which it is imported there; `comfy` is the host's.
BARE = [(entry.stem, f"{room}.{entry.stem}") for room in ("scripts", "benchmarks") for entry in sorted((REPO / room).iterdir())
        if (entry.suffix == ".py" or (entry / "__init__.py").is_file()) and entry.stem not in HOST]
PLACES = dict(BARE)


def name(file: Path) -> str:
    return file.relative_to(REPO).as_posix()


def files(room: str) -> list[Path]:
    return [file for file in PRODUCT if name(file) == room or name(file).startswith(f"{room}/")]


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """(full dotted name, whether it was written relatively) of all that a file imports, inside functions too."""
    package = file.relative_to(REPO).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            stem = ".".join((*base, *(node.module or "").split("."))).strip(".")
            whole = node.module is None  # from . import a, b
            yield from ((f"{stem}.{alias.name}" if whole else stem, node.level > 0) for alias in node.names)


def within(module: str, allowed: set[str]) -> bool:
    return any(module == door or module.startswith(f"{door}.") for door in allowed)


def ours(file: Path) -> Iterator[str]:
    """What a file imports of this repository, each by its place in it."""
    for module, _ in imports(file):
        top, dot, rest = module.partition(".")
        place = PLACES.get(top, top) + dot + rest
        if place.split(".")[0] in {*ROOMS, "tests"}:
            yield place
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="benchmark"), args=[ast.Constant(value=str(module))]):  # of mini/evaluate.py
                yield f"benchmarks.{module}"


def row_of(file: Path) -> str:
    """The narrowest row of DOORS that a file lies in."""
    path = name(file)
    return max((room for room, _ in DOORS if path == room or path.startswith(f"{room}/")), key=len)


@pytest.mark.parametrize(("room", "allowed"), DOORS, ids=[room for room, _ in DOORS])
def test_doors(room: str, allowed: set[str]) -> None:
    held = [file for file in files(room) if row_of(file) == room]
    assert held and not {(name(file), module) for file in held for module in ours(file) if not within(module, allowed)}


@pytest.mark.parametrize(("file", "module"), [
    ("nodes/keyframes.py", "nodes.common"),
    ("benchmarks/judge_cascade.py", "scripts.hosting.install"),
    ("benchmarks/cost.py", "benchmarks.counting"),
    ("scripts/batch.py", "scripts.batches.on_ray"),
    ("mini/stills_seen.py", "benchmarks.judge")])
def test_a_door_is_seen_however_it_is_opened(file: str, module: str) -> None:
    """Relatively, inside functions, and by the bare names that sys.path gives."""
    assert module in ours(REPO / file)


def test_a_bare_name_is_one_module() -> None:
    assert len(BARE) == len(PLACES) and not PLACES.keys() & {*ROOMS, *sys.stdlib_module_names}


@pytest.mark.parametrize(("room", "allowed"), PACKAGES, ids=[room for room, _ in PACKAGES])
def test_packages(room: str, allowed: set[str]) -> None:
    known = {*sys.stdlib_module_names, *ROOMS, *allowed}
    assert not {(name(file), module) for file in files(room) for module, _ in imports(file) if module.split(".")[0] not in known}


def test_triton_is_imported_in_its_guard_alone() -> None:
    found = {name(file) for file in PRODUCT for module, _ in imports(file) if module.split(".")[0] == "triton"}
    assert found <= {"show1_core/kernels/triton_guard.py"}


def test_only_the_host_room_knows_the_host() -> None:
    """Other nodes know its public interface, `comfy_api`; `scripts` start it and import nothing of it."""
    for file in PRODUCT:
        for module, _ in imports(file):
            top = module.split(".")[0]
            inside = name(file).startswith("nodes/host/") or (name(file).startswith("nodes/") and top == "comfy_api")
            assert top not in HOST or inside, (name(file), module)


@pytest.mark.parametrize("room", ["nodes", "show1_core"])
def test_imports_inside_the_pack_are_relative(room: str) -> None:
    """The host loads the pack under a name of its own."""
    assert not {(name(file), module) for file in files(room) for module, relative in imports(file)
                if module.split(".")[0] in ROOMS and not relative}


def test_the_core_does_not_name_the_host() -> None:
    """Neither its modules nor the nodes that stand for stages there."""
    found = [f"{name(file)}:{number}: {line.strip()}" for file in files("show1_core")
             for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
             if re.search(r"(?i:comfy)|Show1[A-Z]", line)]
    assert not found, "\n".join(found)


def test_a_file_is_no_longer_than_one_idea() -> None:
    lengths = {name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in PRODUCT}
    assert not {file: length for file, length in lengths.items()
                if length > (NODE_LINES if file.startswith("nodes/") and file.count("/") == 1 else LINES)}


def test_the_kernels_stay_few() -> None:
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files("show1_core/kernels")) < KERNEL_LINES


def test_a_function_fits_on_a_screen() -> None:
    lengths = {f"{name(file)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1 for file in PRODUCT
               for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
               if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert not {function: length for function, length in lengths.items() if length >= FUNCTION_LINES}


def test_every_file_says_what_it_is() -> None:
    assert not [name(file) for file in PRODUCT
                if file.stat().st_size and not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))]


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No path of somebody's computer, no number of somebody's list of tasks, nothing left to do."""
    foreign = re.compile(r"(?<![\w.~/-])/(?:work|home|root|mnt|Users)/\w|\b(?:issue|ticket|task) #?\d|\bFIX[M]E\b|\bTO[D]O\b")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in (REPO / entry for entry in listed if entry.endswith((".py", ".md", ".toml", ".json", ".mjs", ".yml", ".txt"))):
        if path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                assert not foreign.search(line), f"{name(path)}:{number}: {line.strip()[:120]}"
