"""Workflows as people open them: nodes described in groups and columns become the JSON that Save writes.

A description says which nodes there are, what feeds them and which values differ from the node's own. Places and sizes
follow from it (places.py), and what leads links around nodes (routes.py).
What is inside of a subgraph is described in the same way (subgraph.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .description import INPUTS, NAMESPACE, NOTE, Boundary, Graph, Json, Node, Pack, Value
from .places import Place, drawn_frames, lefts, stacked, view, widths
from .routes import LANE, Led, Routes, Spot, height_of, routes

ROW, WIDGET, PAD = 20, 24, 8  # pixels; the frontend's own measures
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}
INPUTS_ID, OUTPUTS_ID = -10, -20  # the frontend's own, for the two sides of a subgraph
OPTIONAL_SHAPE = 7
MUTED = 2


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


@dataclass(frozen=True)
class Box:
    """A rectangle of the canvas."""

    x: int
    y: int
    width: int
    height: int


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
        """The names of all, sockets first."""
        return [name for name, _, _ in self.sockets] + [widget.name for widget in self.widgets]

    def height_of_input(self, slot: int) -> int:
        """Of its socket, from the node's top; a field's is beside it."""
        if slot < len(self.sockets):
            return self.height_of_output(slot)
        above = self.widgets[:slot - len(self.sockets)]
        rows = len(above) + sum(widget.has_control for widget in above)
        return max(len(self.sockets), len(self.outputs)) * ROW + 6 + WIDGET * rows + WIDGET // 2

    def height_of_output(self, slot: int) -> int:
        return 14 + ROW * slot


@dataclass(frozen=True)
class Drawing:
    """A graph as Save writes it, and the panels at the sides of a subgraph."""

    nodes: list[Json]
    links: list[list[Any]]
    groups: list[Json]
    routes: Routes
    bends: list[Json]
    sides: tuple[int, int]  # where the panels' slots are from left to right


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
    drawing = drawn(graph, object_info, packs)
    led = [{"id": link, "parentId": bend} for link, bend in sorted(drawing.routes.last.items())]
    return {
        "id": str(uuid.uuid5(NAMESPACE, graph.title)),
        "revision": 0,
        "last_node_id": len(drawing.nodes),
        "last_link_id": len(drawing.links),
        "nodes": drawing.nodes,
        "links": drawing.links,
        "groups": drawing.groups,
        "config": {},
        "extra": {"ds": view(drawing.groups), **({"reroutes": drawing.bends, "linkExtensions": led} if led else {})},
        "version": 0.4,
    }


def drawn(graph: Graph, object_info: Json, packs: Mapping[str, Pack], boundary: Boundary | None = None) -> Drawing:
    """Nodes, links and groups of a graph; inside of a subgraph, the links from and to its boundary too."""
    nodes = list(graph.nodes())
    shapes = [shape_of(node, object_info) for node in nodes]
    places, frames = stacked(graph, {node.title: shape.height for node, shape in zip(nodes, shapes)})
    inside, boundary = boundary is not None, boundary or Boundary()
    links = _links(nodes, shapes, boundary)
    led = routes(_ends(links, nodes, shapes, places, boundary), len(graph.columns), len(boundary.inputs), len(boundary.outputs))
    xs = lefts(graph, led.gaps)
    down = 0 if inside or led.lanes < 0 else LANE // 2 - height_of(led.lanes)  # what opens begins at 0, its lanes too
    written = []
    for index, (node, shape) in enumerate(zip(nodes, shapes)):
        properties = {} if node.type == NOTE else _properties(node.type, packs) | object_info[node.type].get("properties", {})
        place = places[node.title]
        box = Box(xs[place.column], place.y + down, widths(graph)[place.column], place.height)
        written.append(_node(node, shape, box, boundary.first_id + index, properties, links))
    inner = [link for link in links if link[1] != INPUTS_ID and link[3] != OUTPUTS_ID]
    for order, node_id in enumerate(_run_order([node["id"] for node in written], inner)):
        written[node_id - boundary.first_id]["order"] = order
    groups, sides = drawn_frames(graph, frames, xs, down), (xs[0] - led.gaps[0], xs[-1])
    return Drawing(written, links, groups, led, led.written(xs, down), sides)


def _ends(links: list[list[Any]], nodes: list[Node], shapes: list[Shape], places: Mapping[str, Place],
          boundary: Boundary) -> list[Led]:
    """The links by where they begin and end."""
    behind = 1 + max(place.column for place in places.values())

    def at(node_id: int) -> tuple[Place, Shape]:
        index = node_id - boundary.first_id
        return places[nodes[index].title], shapes[index]

    def start(node_id: int, slot: int) -> Spot:
        if node_id == INPUTS_ID:
            return Spot(-1, slot, 0)
        place, shape = at(node_id)
        return Spot(place.column, place.row, place.y + shape.height_of_output(slot), place.below)

    def end(node_id: int, slot: int) -> Spot:
        if node_id == OUTPUTS_ID:
            return Spot(behind, slot, 0)
        place, shape = at(node_id)
        return Spot(place.column, place.row, place.y + shape.height_of_input(slot))

    return [Led(link[0], (link[1], link[2]), start(link[1], link[2]), end(link[3], link[4])) for link in links]


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
