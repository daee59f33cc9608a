"""Every template as a user opens it: nothing is missing, nothing pops up, and it means what the commands take it for."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from frontend import Frontend
from hosting.hosts import REPO
from workflows import workflow

Json = dict[str, Any]
TEMPLATES: dict[str, Json] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted((REPO / "example_workflows").glob("*.json"))
}
UNKNOWN = "A node of nobody's"
BROWSED = "Show-1 text to video"
OWN_FILE = "Load Video.file="  # a field that the user is to fill
# Not the title: one that equals its type's own is dropped.
KEPT = ("id", "type", "pos", "size", "order", "mode", "properties")


@pytest.fixture(scope="module")
def opened(frontend: Frontend) -> dict[str, Json]:
    """All of them opened, and one that must be complained about."""
    broken = copy.deepcopy(TEMPLATES["Show-1 keyframes only"])
    broken["nodes"][-1]["type"] = UNKNOWN
    return frontend.open({**TEMPLATES, UNKNOWN: broken}, browse=BROWSED)


@pytest.fixture(scope="module")
def object_info(frontend: Frontend) -> Json:
    return frontend.get("object_info")


def test_a_missing_node_is_noticed(opened: dict[str, Json]) -> None:
    assert opened[UNKNOWN]["missing"]


@pytest.mark.parametrize("title", TEMPLATES)
def test_it_opens_without_a_complaint(title: str, opened: dict[str, Json]) -> None:
    found = opened[title]
    complaints = {name: found[name] for name in ("missing", "dialogs", "toasts", "errors")}
    assert not any(complaints.values()), complaints
    assert [combo for combo in found["badCombos"] if not combo.startswith(OWN_FILE)] == []


@pytest.mark.parametrize("title", TEMPLATES)
def test_it_asks_nothing_of_other_machines(title: str, opened: dict[str, Json]) -> None:
    assert opened[title]["outside"] == []


def test_it_is_found_among_the_templates(opened: dict[str, Json]) -> None:
    found = opened["browse"]
    assert found["dialogs"] == []
    assert meaning_of(found["prompt"]) == meaning_of(opened[BROWSED]["prompt"])


@pytest.mark.parametrize("title", TEMPLATES)
def test_the_commands_read_it_as_the_frontend_does(title: str, opened: dict[str, Json], object_info: Json) -> None:
    read = workflow.to_api(copy.deepcopy(TEMPLATES[title]), object_info)
    assert meaning_of(read) == meaning_of(opened[title]["prompt"])


def meaning_of(prompt: Json) -> Json:
    """What is run: types and inputs."""
    return {node_id: (node["class_type"], {} if node["class_type"] == "LoadVideo" else node["inputs"])
            for node_id, node in prompt.items()}


@pytest.mark.parametrize("title", TEMPLATES)
def test_saving_it_again_changes_nothing(title: str, opened: dict[str, Json]) -> None:
    saved, written = opened[title]["saved"], TEMPLATES[title]
    assert [parts_of(node) for node in saved["nodes"]] == [parts_of(node) for node in written["nodes"]]
    assert saved["links"] == written["links"]
    assert [group["bounding"] for group in saved["groups"]] == [group["bounding"] for group in written["groups"]]


def parts_of(node: Json) -> Json:
    """A node without what the frontend adds in the user's language."""
    slots = {side: [{key: value for key, value in slot.items() if key != "localized_name"} for slot in node[side]]
             for side in ("inputs", "outputs")}
    values = [] if node["type"] == "LoadVideo" else node.get("widgets_values") or []
    return {**{key: node.get(key) for key in KEPT}, **slots, "widgets_values": values}


@pytest.mark.parametrize("title", TEMPLATES)
def test_every_node_has_the_room_it_needs(title: str, opened: dict[str, Json]) -> None:
    for box in opened[title]["boxes"]:
        assert all(size >= needed for size, needed in zip(box["size"], box["needed"])), box
