"""Which links are led around nodes, and where: bends of the frontend's own ("reroutes"), which change no graph.

A link to the next column goes there by itself, and so does one to the node above or below. One that goes farther would run
behind nodes: it rises in the gap after its column, follows a lane above all columns, and comes down in the gap before the
column where it ends. Links of one output share their lane. What enters a subgraph has the lane beside its slot in the panel.
Within a column a link goes back below its node, and down in the gap at the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from .description import Json

LANE, LOWEST = 20, 20  # pixels: from lane to lane, and from the columns up to the first
TRACK, CLEAR, GAP = 12, 30, 72  # from track to track in a gap, from a track to the nodes beside it; a gap without tracks
STEEP = 450  # pixels: a curve higher than this would swing out of its gap, so it is bent once more
RISING, FALLING = 0, 1  # in a gap, what begins left of it stays left
Source = tuple[int, int]  # an output: its node's id, or a panel's, and its slot
Track = tuple[int, int, int]  # where links run up or down: gap, side, and number from the nodes at this side on
Tracks = Mapping[tuple[int, int, Source], Track]


@dataclass(frozen=True)
class Spot:
    """An end of a link: its column, in it the place of its node, and heights in pixels: its own, and of the space below."""

    column: int
    row: int
    y: int
    below: int = 0


@dataclass(frozen=True)
class Led:
    """A link: its id, the output that it begins at, and both ends."""

    id: int
    source: Source
    start: Spot
    end: Spot

    @property
    def is_far(self) -> bool:
        return self.end.column - self.start.column > 1

    @property
    def skips(self) -> bool:
        """Whether other nodes of its column stand between."""
        return self.end.column == self.start.column and abs(self.end.row - self.start.row) > 1


@dataclass
class Bend:
    """A point that links pass; `gap`, `side` and `track` say where it lies from left to right."""

    id: int
    parent: int | None
    gap: int
    side: int
    track: int
    y: int
    links: list[int]


@dataclass
class Routes:
    """All bends, which of them a link comes from last, and how wide each gap has to be for them."""

    bends: list[Bend] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)
    gaps: list[int] = field(default_factory=list)
    lanes: int = 0  # of those above the columns, the number of the highest
    output_lane: int = 0  # beside the lowest slot of the panel at the right

    def bend(self, parent: int | None, place: Track, y: int, links: Sequence[Led]) -> int:
        """A new bend that these links pass."""
        self.bends.append(Bend(len(self.bends) + 1, parent, *place, y, [link.id for link in links]))
        self.last |= {link.id: len(self.bends) for link in links}
        return len(self.bends)

    def written(self, lefts: Sequence[int], down: int) -> list[Json]:
        """The bends as Save writes them; `lefts` are those of the nodes behind each gap, `down` is added to heights."""
        def x(bend: Bend) -> int:
            way = CLEAR + TRACK * bend.track
            return lefts[bend.gap] - self.gaps[bend.gap] + way if bend.side == RISING else lefts[bend.gap] - way

        return [{"id": bend.id, **({"parentId": bend.parent} if bend.parent else {}), "pos": [x(bend), bend.y + down],
                 "linkIds": bend.links} for bend in self.bends]


Trunks = Mapping[Source, Sequence[Led]]


def height_of(lane: int) -> int:
    return -LOWEST - LANE * lane


def routes(links: Sequence[Led], columns: int, inputs: int, outputs: int) -> Routes:
    """What leads these links around nodes; a subgraph's panels of so many slots are columns -1 and `columns`."""
    trunks: dict[Source, list[Led]] = {}
    for link in links:
        if link.is_far or link.skips:
            trunks.setdefault(link.source, []).append(link)
    result = Routes()
    lanes = _lanes(trunks, columns, inputs, outputs, result)
    tracks = _tracks(trunks, columns)
    used = [sum(track[0] == gap for track in tracks.values()) for gap in range(columns + 1)]
    result.gaps = [max(GAP, 2 * CLEAR + TRACK * (number - 1)) for number in used]
    for source, trunk in trunks.items():
        _lead(source, trunk, lanes.get(source, 0), tracks, columns, result)
    return result


@dataclass
class Lanes:
    """Which lanes are in use, from where to where; a gap counts two, for its two sides."""

    taken: list[tuple[int, int, int]] = field(default_factory=list)
    of: dict[Source, int] = field(default_factory=dict)

    def is_free(self, lane: int, start: int, end: int) -> bool:
        return not any(lane == other and start <= right and left <= end for other, left, right in self.taken)

    def take(self, source: Source, lane: int, start: int, end: int) -> None:
        self.taken.append((lane, start, end))
        self.of[source] = lane


def _lanes(trunks: Trunks, columns: int, inputs: int, outputs: int, result: Routes) -> dict[Source, int]:
    """The lane of each output whose links go far: beside a panel's slot, else the lowest that is free for as long."""
    lanes = Lanes()
    spans = {source: (2 * trunk[0].start.column + 2, max(2 * link.end.column + 1 for link in far))
             for source, trunk in trunks.items() if (far := [link for link in trunk if link.is_far])}
    for source, span in spans.items():
        if trunks[source][0].start.column < 0:
            lanes.take(source, inputs - 1 - source[1], *span)
    leaving = {source: outputs - 1 - link.end.row for source in spans for link in trunks[source] if link.end.column == columns}
    while not all(lanes.is_free(result.output_lane + above, *spans[source]) for source, above in leaving.items()):
        result.output_lane += 1
    for source, above in leaving.items():
        lanes.take(source, result.output_lane + above, *spans[source])
    for source in sorted(spans, key=lambda source: (spans[source][1] - spans[source][0], spans[source], source)):
        if source not in lanes.of:
            lanes.take(source, next(lane for lane in count() if lanes.is_free(lane, *spans[source])), *spans[source])
    result.lanes = max(lanes.of.values(), default=-1)
    return lanes.of


def _tracks(trunks: Trunks, columns: int) -> Tracks:
    """Where outputs' links run up and down: by gap, side and output; what ends highest runs nearest to its nodes."""
    heights: dict[tuple[int, int, Source], int] = {}
    for source, trunk in trunks.items():
        start = trunk[0].start
        if start.column >= 0 and any(link.is_far for link in trunk):
            heights[start.column + 1, RISING, source] = start.y
        for link in trunk:
            if link.end.column < columns:
                key = (link.end.column, FALLING, source)
                heights[key] = min(link.end.y, heights.get(key, link.end.y))
    ordered = sorted(heights, key=lambda key: (heights[key], key))
    return {key: (*key[:2], sum(other[:2] == key[:2] for other in ordered[:place])) for place, key in enumerate(ordered)}


def _lead(source: Source, trunk: Sequence[Led], lane: int, tracks: Tracks, columns: int, result: Routes) -> None:
    """Bend the links of one output."""
    start, far, y = trunk[0].start, [link for link in trunk if link.is_far], height_of(lane)
    parent: int | None = None
    if far and start.column >= 0:
        up = tracks[start.column + 1, RISING, source]
        if start.y - y > STEEP:
            parent = result.bend(parent, up, start.y, far)
        parent = result.bend(parent, up, y, far)
    for column, ending, passing in _stops(far, columns):
        down = tracks[column, FALLING, source]
        parent = result.bend(parent, down, y, passing)
        _fall(parent, down, y, ending, result)
    if skipping := [link for link in trunk if link.skips]:
        down = tracks[start.column, FALLING, source]
        _fall(result.bend(None, down, start.below, skipping), down, start.below, skipping, result)


def _stops(far: Sequence[Led], columns: int) -> Iterator[tuple[int, list[Led], list[Led]]]:
    """The columns where links come down, which do there, and which come by."""
    for column in sorted({link.end.column for link in far} - {columns}):
        yield (column, [link for link in far if link.end.column == column],
               [link for link in far if link.end.column >= column])


def _fall(parent: int, place: Track, top: int, ending: Sequence[Led], result: Routes) -> None:
    """Down to the sockets of a column; one that is far below, or has others below, is turned to from the side."""
    left = sorted(ending, key=lambda link: link.end.y)
    while left:
        y = left[0].end.y
        if len(left) > 1 or abs(y - top) > STEEP:
            parent = result.bend(parent, place, y, left)
        left = left[1:]
