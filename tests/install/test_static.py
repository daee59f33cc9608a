"""What checks a pack without running it: comfy-test, the registry's rules, and what an import costs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hosting.hosts import PACK_FOLDER, REPO, Host, environment, requirements
from installing import Tools

pytestmark = pytest.mark.slow  # ComfyUI-Manager and comfy-cli are set up, 600 MB, and the pack is installed twice
HERE = Path(__file__).parent
IMPORT_SECONDS = 0.1
# The same where a machine is slow or busy: making fifty dataclasses takes 0.02 to 0.03 s where it is neither.
IMPORT_YARDSTICKS = 3
# A level may have findings and pass; these are the last words of one that has none.
LAST_WORDS = {"syntax": "Forbidden patterns check: OK", "hazards": "Hazards check: clean"}
FINDING = re.compile(r"^\[warnings\] (\S+)", re.MULTILINE)
WEIGHT_FILE = re.compile(r"^ +[\d.]+ [KMG]?B +(\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def levels(tools: Tools, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each static level of comfy-test says about the pack as users of the registry get it."""
    return judged(tools, unpacked / "custom_nodes" / PACK_FOLDER, tmp_path_factory.mktemp("levels"))


@pytest.fixture(scope="module")
def levels_of_the_clone(tools: Tools, clone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The same about all of the repository, which Manager takes by its address."""
    return judged(tools, clone, tmp_path_factory.mktemp("levels-of-the-clone"))


def judged(tools: Tools, pack: Path, scratch: Path) -> dict[str, dict[str, str]]:
    return json.loads(tools.script(HERE / "static_levels.py", str(pack), str(scratch)))


@pytest.fixture(scope="module")
def cost(host: Host) -> dict[str, Any]:
    """What importing the pack into a host did; of two imports the lesser figures, for a busy machine makes one slow."""
    command = [str(host.python), str(HERE / "import_probe.py"), str(host.source), str(REPO)]
    found: list[dict[str, Any]] = []
    for _ in range(2):
        done = subprocess.run(command, env=environment(host), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-5000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found[0] | {name: min(one[name] for one in found) for name in ("init", "whole", "yardsticks")}


@pytest.mark.parametrize("level", ["syntax", "warnings", "hazards"])
def test_a_static_level_of_comfy_test_passes(levels: dict[str, dict[str, str]], level: str) -> None:
    print(levels[level]["said"])
    assert not levels[level]["error"], levels[level]["error"]
    assert levels[level]["said"].rstrip().endswith(LAST_WORDS.get(level, ""))


@pytest.mark.parametrize("level", ["syntax", "warnings", "hazards"])
def test_nothing_in_the_repository_is_refused_either(levels_of_the_clone: dict[str, dict[str, str]], level: str) -> None:
    assert not levels_of_the_clone[level]["error"], levels_of_the_clone[level]["error"]


def test_the_one_warning_is_that_small_models_ship_with_the_pack(levels: dict[str, dict[str, str]]) -> None:
    said = levels["warnings"]["said"]
    assert set(FINDING.findall(said)) <= {"weights"}, said
    assert all(name.startswith("models/") for name in WEIGHT_FILE.findall(said)), said
    assert FINDING.findall(said) or said.rstrip().endswith("Warnings check: clean"), said


def test_the_registry_forbids_nothing_in_it(tools: Tools, clone: Path) -> None:
    tools.run("ruff", "check", "--isolated", "--no-cache", "--select", "S102,S307,E702", str(clone))


def test_nothing_needs_a_newer_python_than_is_declared(tools: Tools, clone: Path) -> None:
    """Not in syntax, nor in the standard library; tomllib is guarded by a look at the version."""
    shipped = [str(clone / name) for name in ("__init__.py", "nodes", "show1_core", "scripts")]
    tools.run("vermin", "--no-tips", "--eval-annotations", "--violations", "--target=3.10-", "--exclude", "tomllib", *shipped)


def test_requirements_are_the_declared_dependencies(clone: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((clone / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert requirements() == project["dependencies"]


def test_an_import_is_quick(cost: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nimport: {cost['init']:.4f} s of CPU time, with all nodes {cost['whole']:.4f} s, "
              f"{cost['yardsticks']:.1f} yardsticks")
    assert cost["init"] < IMPORT_SECONDS / 10
    assert cost["whole"] < IMPORT_SECONDS or cost["yardsticks"] < IMPORT_YARDSTICKS


def test_an_import_brings_no_package_that_the_host_had_not_loaded(cost: dict[str, Any]) -> None:
    assert cost["modules"] == []


def test_an_import_opens_no_connection(cost: dict[str, Any]) -> None:
    assert cost["nodes"] and cost["sockets"] == []
