"""Graphs as one node: what is inside, and which inputs and outputs show outside.

An input outside feeds inputs of nodes inside. Where these are fields, a field shows outside, with the value that it has inside.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import graphs
from .description import INPUTS, NAMESPACE, Boundary, Graph, Group, Json, Links, Node, Pack
from .graphs import INPUTS_ID, OUTPUTS_ID
from .routes import height_of

FIRST_ID = 101  # of the nodes inside
PREVIEW = "$$canvas-image-preview"  # what newer frontends call a node's live picture; the first's and the last's show outside
SLOT, SIDE, EDGE, AWAY = 20, 160, 10, 40  # pixels: a panel's row, its width, its slots from its edge, it from the gap at its side
LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


@dataclass(frozen=True)
class Subgraph:
    """A graph that is one node elsewhere; its title is the node's name."""

    graph: Graph
    inputs: Mapping[str, tuple[tuple[str, str], ...]]  # by name, sockets before fields: which nodes' inputs it feeds
    outputs: Links
    description: str
    search_words: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The node type that stands for it."""
        return str(uuid.uuid5(NAMESPACE, f"subgraph {self.graph.title}: {self.description}"))

    @property
    def inside(self) -> Graph:
        """The graph with the links from outside."""
        feeds: dict[str, dict[str, tuple[str, str]]] = {}
        for name, targets in self.inputs.items():
            for title, inner in targets:
                feeds.setdefault(title, {})[inner] = (INPUTS, name)

        def fed(group: Group) -> Group:
            return replace(group, nodes=tuple(replace(node, links={**node.links, **feeds.get(node.title, {})})
                                              for node in group.nodes))

        return replace(self.graph, columns=tuple(tuple(map(fed, column)) for column in self.graph.columns))

    def node(self, title: str, links: Links | None = None, room: int = 0) -> Node:
        """The node outside."""
        return Node(title, self.id, links or {}, room=room)


@dataclass(frozen=True)
class Template:
    """A file of example_workflows/, and the subgraphs that it holds."""

    graph: Graph
    subgraphs: tuple[Subgraph, ...] = ()


def to_ui(graph: Graph, subgraphs: tuple[Subgraph, ...], object_info: Json, packs: Mapping[str, Pack]) -> Json:
    """The workflow in the format of Save, with the subgraphs that its nodes stand for."""
    if not subgraphs:
        return graphs.to_ui(graph, object_info, packs)
    known, definitions, last = dict(object_info), [], FIRST_ID - 1
    for subgraph in subgraphs:  # each is numbered on from the one before: newer frontends give numbers that come twice anew
        known[subgraph.id] = info_of(subgraph, object_info, last + 1)
        definitions.append(definition(subgraph, object_info, packs, last + 1))
        last = definitions[-1]["state"]["lastNodeId"]
    return {**graphs.to_ui(graph, known, packs), "last_node_id": last, "definitions": {"subgraphs": definitions}}


def blueprint(subgraph: Subgraph, object_info: Json, packs: Mapping[str, Pack]) -> Json:
    """The workflow of a single node that the frontend lists in its node library."""
    alone = Graph(subgraph.graph.title, ((Group("", "", (subgraph.node(subgraph.graph.title),), 380),),))
    workflow = to_ui(alone, (subgraph,), object_info, packs)
    extra = {**workflow["extra"], "BlueprintDescription": subgraph.description,
             "BlueprintSearchAliases": list(subgraph.search_words)}
    return {**workflow, "groups": [], "extra": extra}


def info_of(subgraph: Subgraph, object_info: Json, first: int) -> Json:
    """The node outside, described as the server describes a node type; `first` is the number of the first node inside."""
    required = {name: _spec(subgraph, name, object_info) for name in subgraph.inputs}
    outputs = {name: _type_of(subgraph, source, object_info) for name, source in subgraph.outputs.items()}
    stages = [node_id for node_id, node in enumerate(subgraph.graph.nodes(), first) if node.room]
    previews = [{"name": f"{PREVIEW} {node_id}", "sourceNodeId": str(node_id), "sourcePreviewName": PREVIEW}
                for node_id in dict.fromkeys((*stages[:1], *stages[-1:]))]
    return {"input": {"required": required}, "output": [*outputs.values()], "output_name": [*outputs], "is_subgraph": True,
            "properties": {"previewExposures": previews}}


def _spec(subgraph: Subgraph, name: str, object_info: Json) -> list[Any]:
    """Type and options of an input: those of the first node that it feeds."""
    title, inner = subgraph.inputs[name][0]
    declared = object_info[_node(subgraph, title).type]["input"]
    return {**declared.get("required", {}), **declared.get("optional", {})}[inner]


def _type_of(subgraph: Subgraph, source: tuple[str, str], object_info: Json) -> str:
    title, output = source
    info = object_info[_node(subgraph, title).type]
    return info["output"][info["output_name"].index(output)]


def _node(subgraph: Subgraph, title: str) -> Node:
    return next(node for node in subgraph.graph.nodes() if node.title == title)


def definition(subgraph: Subgraph, object_info: Json, packs: Mapping[str, Pack], first: int) -> Json:
    """The graph inside, as Save writes it, its nodes numbered from `first`."""
    info = info_of(subgraph, object_info, first)
    shape = graphs.shape_of(subgraph.node(subgraph.graph.title), {subgraph.id: info})
    assert shape.inputs() == list(subgraph.inputs), "sockets come before fields"
    kinds = {name: kind for name, kind, _ in shape.sockets} | {widget.name: widget.type for widget in shape.widgets}
    boundary = Boundary(tuple(kinds.items()), subgraph.outputs, first)
    drawing = graphs.drawn(subgraph.inside, object_info, packs, boundary)
    routes, links, (left, right) = drawing.routes, drawing.links, drawing.sides
    inputs_top = height_of(len(kinds) - 1) - SLOT  # each lane beside its slot
    outputs_top = height_of(routes.output_lane + len(subgraph.outputs) - 1) - SLOT
    left_side = [left - AWAY - SIDE, inputs_top, SIDE, SLOT * (len(kinds) + 2)]
    right_side = [right + AWAY, outputs_top, SIDE, SLOT * (len(subgraph.outputs) + 2)]
    return {
        "id": subgraph.id,
        "version": 1,
        "state": {"lastGroupId": len(drawing.groups), "lastNodeId": drawing.nodes[-1]["id"], "lastLinkId": len(links),
                  "lastRerouteId": len(drawing.bends)},
        "revision": 0,
        "config": {},
        "name": subgraph.graph.title,
        "description": subgraph.description,
        "category": "Show-1",
        "inputNode": {"id": INPUTS_ID, "bounding": left_side},
        "outputNode": {"id": OUTPUTS_ID, "bounding": right_side},
        "inputs": _slots(subgraph, list(kinds.items()), [link for link in links if link[1] == INPUTS_ID], 2,
                         (left - AWAY - EDGE, inputs_top + SLOT)),
        "outputs": _slots(subgraph, list(zip(info["output_name"], info["output"])),
                          [link for link in links if link[3] == OUTPUTS_ID], 4,
                          (right + AWAY + EDGE, outputs_top + SLOT)),
        "widgets": [],
        "nodes": drawing.nodes,
        "groups": drawing.groups,
        "links": [dict(zip(LINK, link)) | ({"parentId": bend} if (bend := routes.last.get(link[0])) else {}) for link in links],
        "reroutes": drawing.bends,
        "extra": {},
    }


def _slots(subgraph: Subgraph, kinds: list[tuple[str, str]], links: list[list[Any]], column: int,
           first: tuple[int, int]) -> list[Json]:
    """One side of the boundary, its first slot where `first` says; `column` of a link's row holds the slot on this side."""
    return [{"id": str(uuid.uuid5(NAMESPACE, f"{subgraph.id} {column} {name}")), "name": name, "type": kind,
             "linkIds": [link[0] for link in links if link[column] == slot], "pos": [first[0], first[1] + SLOT * slot]}
            for slot, (name, kind) in enumerate(kinds)]
