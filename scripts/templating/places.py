"""Where everything lies on the canvas: columns from left to right, in them groups from top to bottom, in these nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from .description import Graph, Group, Json

TITLE_BAR = 30  # pixels; the frontend's own measure
NODE_GAP, GROUP_GAP = 50, 40  # the newer renderer draws nodes some 30 pixels taller
MARGIN, BADGE, GROUP_TITLE = 16, 24, 50  # around a group's nodes, below the last, above the first one's title bar
SCREEN, BARS = (1270, 620), (75, 125)  # pixels for the graph on a small screen, and what lies over it left and above
READABLE = 0.6  # below this scale the frontend draws no text


@dataclass(frozen=True)
class Place:
    """A node's column, which node of the column it is, and what it takes of the column's height."""

    column: int
    row: int
    y: int
    height: int
    room: int

    @property
    def below(self) -> int:
        """The middle of the space to the next node."""
        return self.y + self.height + (self.room + NODE_GAP - TITLE_BAR) // 2


@dataclass(frozen=True)
class Frame:
    """A group, and what it takes of its column's height."""

    group: Group
    column: int
    y: int
    height: int


def stacked(graph: Graph, heights: Mapping[str, int]) -> tuple[dict[str, Place], list[Frame]]:
    """The heights of everything, columns beginning at 0."""
    places: dict[str, Place] = {}
    frames: list[Frame] = []
    for number, column in enumerate(graph.columns):
        y = row = 0
        for group in column:
            top, y = y, y + GROUP_TITLE
            for node in group.nodes:
                height = max(heights[node.title], node.height)
                places[node.title] = Place(number, row, y + TITLE_BAR, height, node.room)
                y, row = y + TITLE_BAR + height + node.room + NODE_GAP, row + 1
            y += BADGE + MARGIN - NODE_GAP
            frames.append(Frame(group, number, top, y - top))
            y += GROUP_GAP
    return places, frames


def widths(graph: Graph) -> list[int]:
    """Of the nodes of each column."""
    return [max(group.width for group in column) for column in graph.columns]


def lefts(graph: Graph, gaps: Sequence[int]) -> list[int]:
    """Of the nodes of each column, the gaps between them given, and of what comes behind the last one."""
    return [*accumulate((width + gap for width, gap in zip(widths(graph), gaps[1:])), initial=MARGIN)]


def drawn_frames(graph: Graph, frames: Sequence[Frame], xs: Sequence[int], down: int) -> list[Json]:
    """The groups as Save writes them."""
    return [{"id": number, "title": frame.group.title,
             "bounding": [xs[frame.column] - MARGIN, frame.y + down, widths(graph)[frame.column] + 2 * MARGIN, frame.height],
             "color": frame.group.colour, "font_size": 24, "flags": {}} for number, frame in enumerate(frames, 1)]


def view(groups: list[Json]) -> Json:
    """Where the canvas stands when the workflow opens: whole on a small screen if that is still readable, else its start."""
    right, bottom = (max(group["bounding"][axis] + group["bounding"][axis + 2] for group in groups) for axis in (0, 1))
    scale = max(READABLE, min(SCREEN[0] / right, SCREEN[1] / bottom, 0.9))
    return {"scale": round(scale, 3), "offset": [round(side / scale) for side in BARS]}
