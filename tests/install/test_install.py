"""Installed by Manager and from the registry's archive: the same nodes, templates and words, and they run."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, failure_of
from hosting.hosts import PACK_FOLDER, REPO
from hosting.server import Server
from installing import Tools
from workflows import workflow

pytestmark = pytest.mark.slow  # ComfyUI-Manager and comfy-cli are set up, 600 MB, and the pack is installed twice
Json = dict[str, Any]
NODE_IDS = {page.stem for page in (REPO / "web" / "docs").glob("*.md")}
TEMPLATES = {file.stem for file in (REPO / "example_workflows").glob("*.json")}
SHIPPED = {"docs", "example_workflows", "locales", "nodes", "scripts", "show1_core", "subgraphs", "web"}
FILES = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "__init__.py", "pyproject.toml",
         "requirements.txt"}
# Templates that need no file of the user's, by what makes a run with the miniature models short.
RUNS = {
    "Show-1 keyframes only": ["*.steps=2", "Keyframes.width=16", "Keyframes.height=8"],
    "Show-1 mini text to video (CPU)": ["*.steps=4", "Refine.denoise=0.3"],  # its models come with the pack
}
COMMANDS = ("convert.py", "download.py")
LARGEST = 100 * 2**20  # the registry's archive with the small models in it


def ask(server: Server, path: str) -> bytes:
    with urllib.request.urlopen(server.url + urllib.parse.quote(path)) as answer:
        return answer.read()


def template(server: Server, title: str) -> bytes:
    """What the frontend gets when the user picks one."""
    return ask(server, f"/api/workflow_templates/{PACK_FOLDER}/{title}.json")


def test_every_node_is_known_and_nothing_else_came_along(server: Server) -> None:
    modules = {name: node["python_module"] for name, node in Driver(server.url).object_info().items()}
    assert {name for name, module in modules.items() if module == f"custom_nodes.{PACK_FOLDER}"} == NODE_IDS
    added = {module for module in modules.values() if module.startswith("custom_nodes.")}
    assert added == {f"custom_nodes.{PACK_FOLDER}"}


def test_templates_help_and_words_are_served(server: Server) -> None:
    assert set(json.loads(ask(server, "/workflow_templates"))[PACK_FOLDER]) == TEMPLATES
    for title in sorted(TEMPLATES):
        assert json.loads(template(server, title))["nodes"]
    for node_id in sorted(NODE_IDS):
        assert ask(server, f"/extensions/{PACK_FOLDER}/docs/{node_id}.md").startswith(b"#")
        assert ask(server, f"/extensions/{PACK_FOLDER}/docs/{node_id}/zh.md").startswith(b"#")
    listed = json.loads(ask(server, "/global_subgraphs")).values()
    assert {entry["name"] for entry in listed} >= {file.stem for file in (REPO / "subgraphs").glob("*.json")} != set()
    words = json.loads(ask(server, "/i18n"))
    assert set(words["en"]["nodeDefs"]) >= NODE_IDS and set(words["zh"]["nodeDefs"]) >= NODE_IDS


@pytest.mark.parametrize("title", RUNS)
def test_an_installed_template_runs(server: Server, title: str) -> None:
    driver = Driver(server.url)
    known = driver.object_info()
    prompt = workflow.to_api(json.loads(template(server, title)), known)
    workflow.apply([workflow.parse_setting(text) for text in RUNS[title]], prompt, known)
    outcome = driver.run(prompt)
    assert outcome.end.type == "execution_success", failure_of(outcome)
    shown = [event.data["output"] for event in outcome.events if event.type == "executed"]
    assert any(output and output.get("images") for output in shown)


def test_the_archive_holds_what_a_user_needs_and_nothing_else(archive: Path, clone: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        sizes = {entry.filename: entry.file_size for entry in packed.infolist() if not entry.is_dir()}
    shipped = SHIPPED | ({"models"} if (clone / "models").is_dir() else set())
    assert {name.split("/")[0] for name in sizes} == shipped | FILES
    assert not [name for name in sizes if name.startswith("mini/")]
    assert {name for name in sizes if name.endswith((".safetensors", ".pt", ".bin"))} <= {
        name for name in sizes if name.startswith("models/")
    }
    assert archive.stat().st_size < LARGEST


@pytest.mark.parametrize("command", COMMANDS)
def test_the_archive_has_everything_its_commands_import(unpacked: Path, command: str) -> None:
    script = unpacked / "custom_nodes" / PACK_FOLDER / "scripts" / command
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_the_registry_finds_nothing_to_say(tools: Tools, clone: Path, archive: Path) -> None:
    said = tools.comfy("node", "validate", cwd=clone)
    assert "All validation checks passed" in said
    assert "warning" not in said.lower() and "error" not in said.lower(), said
