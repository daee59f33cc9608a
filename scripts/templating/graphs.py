"""Workflows as people open them: nodes described in groups and columns become the JSON that Save writes.

A description says which nodes there are, what feeds them and which values differ from the node's own. Places and
sizes follow from it: columns from left to right, in a column groups from top to bottom, in a group its nodes.
What is inside of a subgraph is described in the same way (subgraph.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .description import INPUTS, NAMESPACE, NOTE, Boundary, Graph, Json, Node, Pack, Value

TITLE_BAR, ROW, WIDGET, PAD = 30, 20, 24, 8  # pixels; the frontend's own measures
NODE_GAP, GROUP_GAP, COLUMN_GAP = 50, 40, 40  # the newer renderer draws nodes some 30 pixels taller
MARGIN, BADGE, GROUP_TITLE = 16, 24, 50  # around a group's nodes, below the last, above the first one's title bar
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
INPUTS_ID, OUTPUTS_ID = -10, -20  # the frontend's own, for the two sides of a subgraph
OPTIONAL_SHAPE = 7
MUTED = 2
SCREEN, BARS = (1270, 620), (75, 125)  # pixels for the graph on a small screen, and what lies over it left and above
READABLE = 0.6  # below this scale the frontend draws no text


@dataclass(frozen=True)
class Box:
    """A rectangle of the canvas."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Widget:
    """An input with a field of its own on the node."""

    name: str
    type: str
    spec: Json
    optional: bool

    @property
    def has_control(self) -> bool:
        return bool(self.spec.get("control_after_generate"))


UPLOAD = Widget("upload", "IMAGEUPLOAD", {"default": "image"}, False)  # a button of the frontend's own


@dataclass(frozen=True)
class Shape:
    """What a node type looks like: sockets above, then widgets, in the order of the frontend."""

    sockets: tuple[tuple[str, str, bool], ...]  # name, type, optional
    widgets: tuple[Widget, ...]
    outputs: tuple[tuple[str, str], ...]  # name, type
    is_subgraph: bool = False

    @property
    def height(self) -> int:
        fields = len(self.widgets) + sum(widget.has_control for widget in self.widgets)
        rows = max(len(self.sockets), len(self.outputs)) * ROW + 6
        return rows + (fields * WIDGET + PAD if fields else 0)

    def inputs(self) -> list[str]:
        return [name for name, _, _ in self.sockets] + [widget.name for widget in self.widgets]


def shape_of(node: Node, object_info: Json) -> Shape:
    """The shape of a node's type. Raises KeyError for one the server does not have."""
    if node.type == NOTE:
        return Shape((), (Widget("text", "STRING", {}, False),), ())
    info = object_info[node.type]
    sockets: list[tuple[str, str, bool]] = []
    widgets: list[Widget] = []
    for section in ("required", "optional"):
        for name, spec in info["input"].get(section, {}).items():
            kind = "COMBO" if isinstance(spec[0], list) else spec[0]
            options = spec[1] if len(spec) > 1 else {}
            optional = section == "optional"
            if kind in WIDGET_TYPES and not options.get("forceInput"):
                widgets.append(Widget(name, kind, options, optional))
            else:
                sockets.append((name, kind, optional))
            if options.get("video_upload") or options.get("image_upload"):
                widgets.append(UPLOAD)
    return Shape(tuple(sockets), tuple(widgets), tuple(zip(info["output_name"], info["output"])), info.get("is_subgraph", False))


def to_ui(graph: Graph, object_info: Json, packs: Mapping[str, Pack]) -> Json:
    """The workflow in the format of Save; `packs` by the beginning of a node type's name, the longest wins."""
    nodes, links, groups = drawn(graph, object_info, packs)
    return {
        "id": str(uuid.uuid5(NAMESPACE, graph.title)),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": groups,
        "config": {},
        "extra": {"ds": _view(groups)},
        "version": 0.4,
    }


def drawn(graph: Graph, object_info: Json, packs: Mapping[str, Pack],
          boundary: Boundary | None = None) -> tuple[list[Json], list[list[Any]], list[Json]]:
    """Nodes, links and groups of a graph; inside of a subgraph, the links from and to its boundary too."""
    nodes = list(graph.nodes())
    shapes = [shape_of(node, object_info) for node in nodes]
    boxes, groups = _arranged(graph, dict(zip((node.title for node in nodes), shapes)))
    boundary = boundary or Boundary()
    links = _links(nodes, shapes, boundary)
    written = []
    for index, (node, shape) in enumerate(zip(nodes, shapes)):
        properties = {} if node.type == NOTE else _properties(node.type, packs) | object_info[node.type].get("properties", {})
        written.append(_node(node, shape, boxes[node.title], boundary.first_id + index, properties, links))
    inner = [link for link in links if link[1] != INPUTS_ID and link[3] != OUTPUTS_ID]
    for order, node_id in enumerate(_run_order([node["id"] for node in written], inner)):
        written[node_id - boundary.first_id]["order"] = order
    return written, links, groups


def _arranged(graph: Graph, shapes: Mapping[str, Shape]) -> tuple[dict[str, Box], list[Json]]:
    """Where everything lies."""
    boxes: dict[str, Box] = {}
    groups: list[Json] = []
    x = 0
    for column in graph.columns:
        wide, y = max(group.width for group in column), 0
        for group in column:
            top, y = y + group.top, y + group.top + GROUP_TITLE
            for node in group.nodes:
                height = max(shapes[node.title].height, node.height)
                boxes[node.title] = Box(x + MARGIN, y + TITLE_BAR, wide, height)
                y += TITLE_BAR + height + node.room + NODE_GAP
            y += BADGE + MARGIN - NODE_GAP
            frame = [x, top, wide + 2 * MARGIN, y - top]
            groups.append({"id": len(groups) + 1, "title": group.title, "bounding": frame, "color": group.colour,
                           "font_size": 24, "flags": {}})
            y += GROUP_GAP
        x += wide + 2 * MARGIN + COLUMN_GAP
    return boxes, groups


def _view(groups: list[Json]) -> Json:
    """Where the canvas stands when the workflow opens: whole on a small screen if that is still readable, else its start."""
    right, bottom = (max(group["bounding"][axis] + group["bounding"][axis + 2] for group in groups) for axis in (0, 1))
    scale = max(READABLE, min(SCREEN[0] / right, SCREEN[1] / bottom, 0.9))
    return {"scale": round(scale, 3), "offset": [round(side / scale) for side in BARS]}


def _links(nodes: list[Node], shapes: list[Shape], boundary: Boundary) -> list[list[Any]]:
    """Rows of link id, source and slot, target and slot, type."""
    described = list(enumerate(zip(nodes, shapes), boundary.first_id))
    sources = {node.title: (node_id, shape.outputs) for node_id, (node, shape) in described}
    assert len(sources) == len(nodes), "titles name nodes, so no two may be equal"
    sources[INPUTS] = (INPUTS_ID, boundary.inputs)
    wanted = [(source, target, shape.inputs().index(name))
              for target, (node, shape) in described for name, source in node.links.items()]
    wanted += [(source, OUTPUTS_ID, slot) for slot, source in enumerate(boundary.outputs.values())]
    links: list[list[Any]] = []
    for (title, output), target, target_slot in wanted:
        source, outputs = sources[title]
        slot = [known for known, _ in outputs].index(output)
        links.append([len(links) + 1, source, slot, target, target_slot, outputs[slot][1]])
    return links


def _run_order(ids: list[int], links: list[list[Any]]) -> list[int]:
    """The nodes in the order in which the frontend would run them: none before what feeds it."""
    awaited = {node_id: sum(link[3] == node_id for link in links) for node_id in ids}
    order = [node_id for node_id in ids if not awaited[node_id]]
    for node_id in order:  # grows while it is walked
        for link in sorted((link for link in links if link[1] == node_id), key=lambda link: (link[2], link[0])):
            awaited[link[3]] -= 1
            if not awaited[link[3]]:
                order.append(link[3])
    assert len(order) == len(ids), "the graph has a circle"
    return order


def _node(node: Node, shape: Shape, box: Box, node_id: int, properties: Json, links: list[list[Any]]) -> Json:
    unknown = set(node.values) - {widget.name for widget in shape.widgets}
    assert not unknown, f"{node.title} has no {', '.join(sorted(unknown))}"
    feeding = {link[4]: link[0] for link in links if link[3] == node_id}
    inputs: list[Json] = [{"name": name, "type": kind, **_shape(optional)} for name, kind, optional in shape.sockets]
    if node.type != NOTE:
        inputs += [{"name": widget.name, "type": widget.type, **_shape(widget.optional), "widget": {"name": widget.name}}
                   for widget in shape.widgets]
    outputs = [{"name": name, "type": kind,
                "links": [link[0] for link in links if link[1:3] == [node_id, slot]] or None}
               for slot, (name, kind) in enumerate(shape.outputs)]
    return {
        "id": node_id,
        "type": node.type,
        "pos": [box.x, box.y],
        "size": [box.width, box.height],
        "flags": {},
        "order": 0,
        "mode": MUTED if node.muted else 0,
        "inputs": [{**entry, "link": feeding.get(slot)} for slot, entry in enumerate(inputs)],
        "outputs": outputs,
        "title": node.title,
        "properties": properties,
        "widgets_values": _values(node, shape),
        **(NOTE_COLOURS if node.type == NOTE else node.colours),
    }


def _shape(optional: bool) -> Json:
    return {"shape": OPTIONAL_SHAPE} if optional else {}


def _properties(kind: str, packs: Mapping[str, Pack]) -> Json:
    pack = packs[max((prefix for prefix in packs if kind.startswith(prefix)), key=len)]
    return {"cnr_id": pack.registry_id, "ver": pack.version, "Node name for S&R": kind}


def _values(node: Node, shape: Shape) -> list[Value]:
    """What stands in the node's fields, in their order; a subgraph's stand in the nodes inside."""
    values: list[Value] = []
    if shape.is_subgraph:
        assert not node.values, f"{node.title} would lose {', '.join(node.values)}: a subgraph's fields have the values inside"
        return values
    for widget in shape.widgets:
        values.append(_value(node, widget))
        if widget.has_control:
            values.append(node.control)
    return values


def _value(node: Node, widget: Widget) -> Value:
    """The described value, else the default; which of a combo's options comes first depends on the machine."""
    if widget.name in node.values:
        return node.values[widget.name]
    if "default" in widget.spec:
        return widget.spec["default"]
    assert widget.type == "STRING" and widget.name in node.links, f"{node.title} needs a value for {widget.name}"
    return ""
