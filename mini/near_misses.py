"""Kinds that are nearly another: what a scorer has to tell from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .grammar import COLOURS, MOTIONS, OPPOSITE, PAIR_MOTIONS, PLACES, SOLIDS, Kind

Change = Callable[[np.random.Generator, Kind], Kind]


def _other(rng: np.random.Generator, words: tuple[str, ...], *taken: str) -> str:
    """One of the words that is not taken."""
    free = [word for word in words if word not in taken]
    return free[rng.integers(len(free))]


def colours_exchanged(rng: np.random.Generator, kind: Kind) -> Kind:
    """Each solid in the other's colour."""
    other = kind.other
    return kind if other is None else replace(kind, colour=other.colour, other=replace(other, colour=kind.colour))


def solids_exchanged(rng: np.random.Generator, kind: Kind) -> Kind:
    """Each colour on the other's solid."""
    other = kind.other
    return kind if other is None else replace(kind, solid=other.solid, other=replace(other, solid=kind.solid))


def relation_reversed(rng: np.random.Generator, kind: Kind) -> Kind:
    """The first on the other side of the second."""
    return kind if kind.other is None else replace(kind, other=replace(kind.other, relation=OPPOSITE[kind.other.relation]))


def roles_exchanged(rng: np.random.Generator, kind: Kind) -> Kind:
    """The same picture, but for which of the two moves."""
    other = kind.other
    if other is None:
        return kind
    rest = replace(other, relation=OPPOSITE[other.relation], colour=kind.colour, solid=kind.solid)
    return replace(kind, colour=other.colour, solid=other.solid, other=rest)


def one_alone(rng: np.random.Generator, kind: Kind) -> Kind:
    """The first solid alone."""
    return replace(kind, other=None)


def one_colour(rng: np.random.Generator, kind: Kind) -> Kind:
    """Both solids in the colour of the first, which no caption of the small world says, but a drawing may show."""
    return kind if kind.other is None else replace(kind, other=replace(kind.other, colour=kind.colour))


def another_colour(rng: np.random.Generator, kind: Kind) -> Kind:
    """One solid in a colour that is not there."""
    other = kind.other
    if other is None:
        return replace(kind, colour=_other(rng, COLOURS, kind.colour))
    colour = _other(rng, COLOURS, kind.colour, other.colour)
    return replace(kind, colour=colour) if rng.uniform() < 0.5 else replace(kind, other=replace(other, colour=colour))


def another_solid(rng: np.random.Generator, kind: Kind) -> Kind:
    """One solid of another form."""
    other, solids = kind.other, tuple(SOLIDS)
    if other is None or rng.uniform() < 0.5:
        return replace(kind, solid=_other(rng, solids, kind.solid))
    return replace(kind, other=replace(other, solid=_other(rng, solids, other.solid)))


def another_place(rng: np.random.Generator, kind: Kind) -> Kind:
    """The same somewhere else."""
    return replace(kind, place=_other(rng, tuple(PLACES), kind.place))


def another_motion(rng: np.random.Generator, kind: Kind) -> Kind:
    """The first solid moves in another way that leaves room for the second."""
    allowed = tuple(MOTIONS) if kind.other is None else next(some for some, _ in PAIR_MOTIONS if kind.motion in some)
    return replace(kind, motion=_other(rng, allowed, kind.motion))


CHANGES: dict[str, Change] = {
    "colours exchanged": colours_exchanged, "solids exchanged": solids_exchanged, "relation reversed": relation_reversed,
    "roles exchanged": roles_exchanged, "one alone": one_alone, "one colour": one_colour, "another colour": another_colour,
    "another solid": another_solid, "another place": another_place, "another motion": another_motion,
}


def near_misses(rng: np.random.Generator, kind: Kind) -> dict[str, Kind]:
    """What is nearly `kind`, by what was changed; what a change leaves as it was is not there."""
    changed = {name: change(rng, kind) for name, change in CHANGES.items()}
    return {name: other for name, other in changed.items() if other != kind}
