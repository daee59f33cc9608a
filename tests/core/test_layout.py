"""The canvas of templates and blueprints, as they open and inside of every subgraph: readable, nothing over anything else."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]
Point = tuple[float, float]
Rectangle = tuple[float, ...]  # left, top, width, height
REPO = Path(__file__).resolve().parents[2]
SMALL_SCREEN, READABLE = (1270, 620), 0.6  # pixels that 1366x768 leave; the scale below which the frontend draws no text
INPUTS, OUTPUTS = -10, -20  # the panels at both sides of a subgraph
HANDLE = 20  # pixels: how far a bend pulls at its curves at most, where the user has not set it otherwise
WIDEST_FOR_FIELDS, WIDEST = 400, 420  # of a column in pixels, and of one that shows text or pictures
SHOWS = {"MarkdownNote", "PrimitiveStringMultiline", "PreviewImage", "SaveVideo", "LoadVideo", "LoadImage", "LossGraphNode"}


def scopes() -> dict[str, Json]:
    """Every graph that can be seen: the templates', and what is inside of subgraphs, theirs and the node library's."""
    found: dict[str, Json] = {}
    for file in sorted((REPO / "example_workflows").glob("*.json")) + sorted((REPO / "subgraphs").glob("*.json")):
        workflow = json.loads(file.read_text(encoding="utf-8"))
        extra = workflow.get("extra", {})
        bends = {each["id"]: each["parentId"] for each in extra.get("linkExtensions", [])}
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        links = [dict(zip(keys, link)) | ({"parentId": bends[link[0]]} if link[0] in bends else {}) for link in workflow["links"]]
        if file.parent.name == "example_workflows":
            found[file.stem] = {**workflow, "links": links, "reroutes": extra.get("reroutes", [])}
        for inside in workflow.get("definitions", {}).get("subgraphs", []):
            found[f"{file.parent.name}: {file.stem}: {inside['name']}"] = inside
    return found


SCOPES = scopes()
OPENED = [title for title in SCOPES if ": " not in title]


def with_bar(node: Json) -> Rectangle:
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - 30, width, height + 30


def panels(graph: Json) -> dict[int, Rectangle]:
    """The sides of a subgraph."""
    return {graph[side]["id"]: tuple(graph[side]["bounding"]) for side in ("inputNode", "outputNode") if side in graph}


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return all(one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2] for i in (0, 1))


def contains(outer: Rectangle, inner: Rectangle) -> bool:
    return all(outer[i] <= inner[i] and inner[i] + inner[i + 2] <= outer[i] + outer[i + 2] for i in (0, 1))


def frames(graph: Json) -> list[Rectangle]:
    return [tuple(group["bounding"]) for group in graph["groups"]]


@pytest.mark.parametrize("title", SCOPES)
def test_nothing_overlaps_and_every_node_is_in_a_group(title: str) -> None:
    graph = SCOPES[title]
    nodes, sides = [with_bar(node) for node in graph["nodes"]], [*panels(graph).values()]
    for boxes in (nodes + sides, frames(graph) + sides):
        assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
    for box in nodes:
        assert sum(contains(frame, box) for frame in frames(graph)) == 1


@pytest.mark.parametrize("title", SCOPES)
def test_no_group_is_half_empty(title: str) -> None:
    """Between and below its nodes, where live pictures grow, is less room than they take."""
    graph = SCOPES[title]
    for frame in frames(graph):
        filled = sum(box[3] for box in map(with_bar, graph["nodes"]) if contains(frame, box))
        assert filled > frame[3] / 2, frame


@pytest.mark.parametrize("title", SCOPES)
def test_no_column_is_wider_than_its_nodes_need(title: str) -> None:
    graph = SCOPES[title]
    for left in {node["pos"][0] for node in graph["nodes"]}:
        column = [node for node in graph["nodes"] if node["pos"][0] == left]
        needed = WIDEST if any(node["type"] in SHOWS for node in column) else WIDEST_FOR_FIELDS
        assert all(node["size"][0] <= needed for node in column), column[0]["title"]
    for frame in frames(graph):
        assert frame[2] <= 40 + max(box[2] for box in map(with_bar, graph["nodes"]) if contains(frame, box))


@pytest.mark.parametrize("title", OPENED)
def test_it_opens_readable_on_a_small_screen(title: str) -> None:
    right, bottom = (max(frame[axis] + frame[axis + 2] for frame in frames(SCOPES[title])) for axis in (0, 1))
    assert min(SMALL_SCREEN[0] / right, SMALL_SCREEN[1] / bottom) >= READABLE, (right, bottom)


@pytest.mark.parametrize("title", SCOPES)
def test_links_lead_from_left_to_right(title: str) -> None:
    """Or, within a column, from one node to another."""
    graph = SCOPES[title]
    lefts = {node["id"]: node["pos"][0] for node in graph["nodes"]} | {side: box[0] for side, box in panels(graph).items()}
    assert not [link for link in graph["links"] if lefts[link["origin_id"]] > lefts[link["target_id"]]]


@pytest.mark.parametrize("title", SCOPES)
def test_no_link_runs_behind_a_node_of_others(title: str) -> None:
    """Nor in a column, where a link goes from the right side of a node to the left side of one below or above."""
    graph = SCOPES[title]
    boxes = {node["id"]: with_bar(node) for node in graph["nodes"]} | panels(graph)
    titles = {node["id"]: node["title"] for node in graph["nodes"]} | {INPUTS: "inputs", OUTPUTS: "outputs"}
    wrong = []
    for link in graph["links"]:
        way, ends = [*course(link, graph)], (link["origin_id"], link["target_id"])
        for other, (x, y, width, height) in boxes.items():
            if other not in ends and any(x < step[0] < x + width and y < step[1] < y + height for step in way):
                wrong.append(f"{titles[ends[0]]} to {titles[ends[1]]} behind {titles[other]}")
    assert not wrong


def course(link: Json, graph: Json, steps: int = 100) -> Iterator[Point]:
    """Points of a link as the frontend draws it: a Bezier curve from bend to bend that leaves and arrives level."""
    bends = bends_of(link, graph)
    start, end = starts(link, graph), ends(link, graph)
    places = [start, *(tuple(bend["pos"]) for bend in bends), end]
    angles = [0.0, *(angle_at(bend, before, graph) for bend, before in zip(bends, places)), 0.0]
    for number, ((before, leaving), (after, arriving)) in enumerate(itertools.pairwise(zip(places, angles))):
        reach = math.dist(before, after) / 4
        out = reach if number == 0 else min(reach, HANDLE)
        back = reach if number == len(bends) else min(reach, HANDLE)
        corners = (before, (before[0] + out * math.cos(leaving), before[1] + out * math.sin(leaving)),
                   (after[0] - back * math.cos(arriving), after[1] - back * math.sin(arriving)), after)
        for step in range(steps + 1):
            part = step / steps
            weights = [math.comb(3, n) * part ** n * (1 - part) ** (3 - n) for n in range(4)]
            x, y = (sum(weight * corner[axis] for weight, corner in zip(weights, corners)) for axis in (0, 1))
            yield x, y


def bends_of(link: Json, graph: Json) -> list[Json]:
    """The bends of a link, from its source on."""
    known, bends = {bend["id"]: bend for bend in graph.get("reroutes", [])}, []
    parent = link.get("parentId")
    while parent is not None:
        bends.insert(0, known[parent])
        parent = bends[0].get("parentId")
    return bends


def angle_at(bend: Json, before: Point, graph: Json) -> float:
    """Which way links run through a bend, in radians: halfway between where they come from and, on average, go to."""
    links = [link for link in graph["links"] if link["id"] in bend["linkIds"] and link["target_id"] != OUTPUTS]
    follow = [direction(tuple(bend["pos"]), after(bend, link, graph)) for link in links]
    come = direction(before, tuple(bend["pos"]))
    half = (come - sum(follow) / len(follow)) / 2 if follow else come
    return come - (half + math.pi if abs(half) > math.pi / 2 else half)


def after(bend: Json, link: Json, graph: Json) -> Point:
    """Where a link goes from a bend of it."""
    ways = bends_of(link, graph)
    place = [each["id"] for each in ways].index(bend["id"]) + 1
    return tuple(ways[place]["pos"]) if place < len(ways) else ends(link, graph)


def direction(one: Point, other: Point) -> float:
    return math.atan2(other[1] - one[1], other[0] - one[0])


def starts(link: Json, graph: Json) -> Point:
    """Where a link begins."""
    if link["origin_id"] == INPUTS:
        x, y, width, _ = graph["inputNode"]["bounding"]
        return x + width - 10, y + 20 * (link["origin_slot"] + 1)
    node = next(node for node in graph["nodes"] if node["id"] == link["origin_id"])
    return node["pos"][0] + node["size"][0], node["pos"][1] + 14 + 20 * link["origin_slot"]


def ends(link: Json, graph: Json) -> Point:
    """Where a link ends, as far as the file says; a field's socket is beside it, below the sockets proper."""
    if link["target_id"] == OUTPUTS:
        x, y, *_ = graph["outputNode"]["bounding"]
        return x + 10, y + 20 * (link["target_slot"] + 1)
    node = next(node for node in graph["nodes"] if node["id"] == link["target_id"])
    (left, top), entry = node["pos"], node["inputs"][link["target_slot"]]
    sockets, fields = ([one for one in node["inputs"] if ("widget" in one) == is_field] for is_field in (False, True))
    if "widget" not in entry:
        return left, top + 14 + 20 * sockets.index(entry)
    above = fields[:fields.index(entry)]
    rows = len(above) + sum("seed" in one["name"] for one in above)  # what follows a seed has a row of its own
    return left, top + 20 * max(len(sockets), len(node["outputs"])) + 6 + 24 * rows + 12


def test_a_curve_bends_where_the_frontend_bends_it() -> None:
    """Right on a straight lane; at a corner halfway between both directions."""
    node = {"title": "", "size": [10, 40], "outputs": [{}], "inputs": [{"name": "x"}]}
    corner = {"id": 1, "pos": [100, 14], "linkIds": [1]}
    graph = {"nodes": [{**node, "id": 1, "pos": [0, 0]}, {**node, "id": 2, "pos": [100, 400]}], "reroutes": [corner],
             "links": [link := {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0, "parentId": 1}]}
    assert angle_at(corner, (10, 14), graph) == pytest.approx(math.pi / 4)
    way = [*course(link, graph)]
    assert way[0] == (10, 14) and way[-1] == (100, 414) and (100, 14) in way
