"""Every template as a user opens it: nothing is missing, nothing pops up, and it means what the commands take it for."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from frontend import Frontend
from hosting.hosts import REPO
from templating.twins import USERS_OWN
from workflows import workflow

Json = dict[str, Any]
TEMPLATES: dict[str, Json] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted((REPO / "example_workflows").glob("*.json"))
}
UNKNOWN = "A node of nobody's"
BROWSED = "Show-1 text to video"
SEARCHED = {"text to video": "Text to Video (Show-1)", "upscale video": "Upscale Video x4 (Show-1)",
            "smooth video": "Smooth Video x4 (Show-1)", "show-1 keyframes": "Show-1 Keyframes"}
RUN = "Show-1 drafts, pick, then upscale"
SHORT = {"steps": 25, "count": 2, "width": 16, "height": 8}  # what makes it quick, and lasts long enough to be looked at
OPENED_FIRST = {BROWSED, "Show-1 mini text to video (CPU)", "Longer video", "Draw 16, keep the best"}  # without --all
TITLES = [title if title in OPENED_FIRST else pytest.param(title, marks=pytest.mark.slow) for title in TEMPLATES]
READABLE = 0.55  # of its full size, below which the words are too small
OUTPUTS = ("SaveVideo", "PreviewImage")
BLUEPRINTS = {title for title in SEARCHED.values() if title.endswith("(Show-1)")}
OTHER = {"other_model", "other_text_encoder", "other_vae", "clip"}  # files of other models, which the user has or not
# Not the title: one that equals its type's own is dropped.
KEPT = ("id", "type", "pos", "size", "order", "mode", "properties")


@pytest.fixture(scope="module")
def opened(frontend: Frontend, request: pytest.FixtureRequest) -> dict[str, Json]:
    """Those that a test asks for opened, and one that must be complained about."""
    ours = [item for item in request.session.items if isinstance(item, pytest.Function) and item.module is request.module]
    asked = {value for item in ours for name, value in item.callspec.params.items() if name in ("title", "words")}
    broken = copy.deepcopy(TEMPLATES["Show-1 keyframes only"])
    broken["nodes"][-1]["type"] = UNKNOWN
    kinds = sorted(kind for kind in frontend.get("object_info") if kind.startswith("Show1"))
    chosen = {title: template for title, template in TEMPLATES.items() if title in asked | {BROWSED}}
    words = [words for words in SEARCHED if words in asked]
    return frontend.open({**chosen, UNKNOWN: broken}, browse=BROWSED, search=words, nodes=kinds,
                         run={"workflow": TEMPLATES[RUN], "values": SHORT})


@pytest.fixture(scope="module")
def object_info(frontend: Frontend) -> Json:
    return frontend.get("object_info")


def test_a_missing_node_is_noticed(opened: dict[str, Json]) -> None:
    assert opened[UNKNOWN]["missing"]


@pytest.mark.parametrize("title", TITLES)
def test_it_opens_without_a_complaint(title: str, opened: dict[str, Json]) -> None:
    found = opened[title]
    complaints = {name: found[name] for name in ("missing", "dialogs", "toasts", "errors")}
    assert not any(complaints.values()), complaints
    bad = [combo.split("=")[0].split(".")[-1] for combo in found["badCombos"]]
    assert set(bad) <= {*USERS_OWN.values(), *OTHER}, found["badCombos"]


@pytest.mark.parametrize("title", [*TITLES, "browse"])
def test_it_opens_readable_on_a_small_screen(title: str, opened: dict[str, Json]) -> None:
    """Also where the frontend chooses how much of it is seen."""
    assert opened[title]["scale"] >= READABLE


@pytest.mark.parametrize("title", TITLES)
def test_it_asks_nothing_of_other_machines(title: str, opened: dict[str, Json]) -> None:
    assert opened[title]["outside"] == []


def test_it_is_found_among_the_templates(opened: dict[str, Json]) -> None:
    found = opened["browse"]
    assert found["dialogs"] == []
    assert meaning_of(found["prompt"]) == meaning_of(opened[BROWSED]["prompt"])


@pytest.mark.parametrize("title", TITLES)
def test_the_commands_read_it_as_the_frontend_does(title: str, opened: dict[str, Json], object_info: Json) -> None:
    read = workflow.to_api(copy.deepcopy(TEMPLATES[title]), object_info)
    assert meaning_of(read) == meaning_of(opened[title]["prompt"])


def meaning_of(prompt: Json) -> Json:
    """What is run: types and inputs of the nodes that end in an output, or lead to it."""
    waiting, run = [node_id for node_id, node in prompt.items() if node["class_type"] in OUTPUTS], {}
    while waiting:
        node_id = waiting.pop()
        node = prompt[node_id]
        run[node_id] = (node["class_type"], without_own(node["class_type"], node["inputs"]))
        waiting += [value[0] for value in node["inputs"].values() if isinstance(value, list) and value[0] not in run]
    return run


def without_own(kind: str, inputs: Json) -> Json:
    """The inputs of a node but for what is the user's."""
    return {name: value for name, value in inputs.items() if name != USERS_OWN.get(kind)}


@pytest.mark.parametrize("title", TITLES)
def test_saving_it_again_changes_nothing(title: str, opened: dict[str, Json]) -> None:
    saved, written = opened[title]["saved"], TEMPLATES[title]
    inside = {subgraph["id"] for subgraph in written.get("definitions", {}).get("subgraphs", [])}
    kept, meant = ([parts_of(node) for node in graph["nodes"] if node["type"] not in inside] for graph in (saved, written))
    assert kept == meant  # what stands on a subgraph's node each frontend writes in its own way
    assert saved["links"] == written["links"]
    assert [group["bounding"] for group in saved["groups"]] == [group["bounding"] for group in written["groups"]]


def parts_of(node: Json) -> Json:
    """A node without what the frontend adds in the user's language."""
    slots = {side: [{key: value for key, value in slot.items() if key != "localized_name"} for slot in node[side]]
             for side in ("inputs", "outputs")}
    values = [] if node["type"] in USERS_OWN else node.get("widgets_values") or []
    return {**{key: node.get(key) for key in KEPT}, **slots, "widgets_values": values}


@pytest.mark.parametrize("title", TITLES)
def test_every_node_has_the_room_it_needs(title: str, opened: dict[str, Json]) -> None:
    for box in opened[title]["boxes"]:
        assert all(size >= needed for size, needed in zip(box["size"], box["needed"])), box


@pytest.mark.parametrize("title", TITLES)
def test_the_newer_renderer_draws_no_node_over_another(title: str, opened: dict[str, Json]) -> None:
    assert not overlapping(opened[title]["drawn"])


def overlapping(drawn: list[Json]) -> list[tuple[str, str]]:
    """Nodes one of which is drawn over the other."""
    return [(one["id"], other["id"]) for one, other in itertools.combinations(drawn, 2)
            if all(one["box"][side] < other["box"][side + 2] and other["box"][side] < one["box"][side + 2] for side in (0, 1))]


@pytest.mark.parametrize("title", TITLES)
def test_the_newer_renderer_draws_every_node(title: str, opened: dict[str, Json], frontend: Frontend) -> None:
    drawn = {drawn["id"] for drawn in opened[title]["drawn"]}
    expected = {str(node["id"]) for node in TEMPLATES[title]["nodes"]}
    assert drawn == (expected if frontend.settings.get("Comfy.VueNodes.Enabled") else set())


@pytest.mark.parametrize("words", [pytest.param(words, marks=pytest.mark.slow) if number else words
                                   for number, words in enumerate(SEARCHED)])
def test_words_find_it(words: str, opened: dict[str, Json]) -> None:
    (found,) = opened["search"][words]
    assert found["title"] == SEARCHED[words]
    if found["title"] in BLUEPRINTS:
        assert {"prompt", "seed"} <= set(found["fields"]) and any(kind.startswith("Show1") for kind in found["inside"])


def test_every_node_of_the_pack_is_drawn_with_all_its_fields(opened: dict[str, Json], object_info: Json,
                                                             frontend: Frontend) -> None:
    """In the newer renderer each is an element of the page, in which names of fields and sockets can be read."""
    found, new = opened["nodes"], frontend.settings.get("Comfy.VueNodes.Enabled")
    assert found["errors"] == []
    laid = {node["type"]: node for node in found["laid"]}
    assert set(laid) == {kind for kind in object_info if kind.startswith("Show1")}
    names = {kind: [*node["fields"], *node["sockets"]] for kind, node in laid.items()}
    assert all(names.values())
    missing = {kind: lacking for kind, node in laid.items()
               if new and (lacking := [name for name in names[kind] if name not in (node["text"] or "")])}
    assert not missing


def test_pictures_stand_on_nodes_while_they_run_and_after(opened: dict[str, Json]) -> None:
    """A live preview on the node that draws, and the finished sheet on the node that shows it."""
    ran = opened["run"]
    assert ran["end"] == {"type": "execution_success", "said": ""} and ran["errors"] == []
    assert ran["shown"]["live"]["Drafts"] >= 1 and ran["shown"]["after"]["Contact sheet"] >= 1


def test_pictures_push_no_node_over_another(opened: dict[str, Json]) -> None:
    assert not overlapping(opened["run"]["drawn"])
