"""What a workflow is described by: nodes in groups, groups in columns, and what goes into a subgraph and comes out of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Value = str | int | float | bool
Links = Mapping[str, tuple[str, str]]  # by input: which node's title, which output of it

NOTE = "MarkdownNote"  # lives in the frontend alone
INPUTS = "inputs"  # inside of a subgraph, the title of what comes from outside
NAMESPACE = uuid.UUID("5f0b1c0e-6d0e-4f3c-9b52-7f6a5c0d9e11")


@dataclass(frozen=True)
class Node:
    """A node; `links` says for an input which node's title and which output of it feed it."""

    title: str
    type: str
    links: Links = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    control: str = "fixed"  # what becomes of the seed after a run
    height: int = 0  # at least; text fields and pictures need more than their rows
    room: int = 0  # left free below, where a live preview grows
    colours: Mapping[str, str] = field(default_factory=dict)
    muted: bool = False


@dataclass(frozen=True)
class Group:
    """Nodes in a frame, one below the other and equally wide."""

    title: str
    colour: str
    nodes: tuple[Node, ...]
    width: int = 250


@dataclass(frozen=True)
class Graph:
    """A workflow: its file is named by its title."""

    title: str
    columns: tuple[tuple[Group, ...], ...]

    def nodes(self) -> Iterator[Node]:
        """All nodes, in the order of their ids."""
        for column in self.columns:
            for group in column:
                yield from group.nodes


@dataclass(frozen=True)
class Boundary:
    """What goes into a subgraph, by name and type, and what comes out of it: which node's title, which output of it."""

    inputs: tuple[tuple[str, str], ...] = ()
    outputs: Links = field(default_factory=dict)
    first_id: int = 1  # of the nodes; no two in a workflow may be equal, wherever they are


@dataclass(frozen=True)
class Pack:
    """Who a node comes from, as the registry knows it."""

    registry_id: str
    version: str
