"""What can be said of the small world: words, the sentences made of them, and the combinations kept from training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
DEFAULT_PLACE = "black"

# Every meaning with the ways to say it; the first is the one that prompts are judged by. `circle`, `square` and
# `triangle` are the words of an earlier mini, whose world was flat.
SOLIDS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "circle", "sphere"),
    "cube": ("cube", "square", "box"),
    "cone": ("cone", "triangle"),
}
MOTIONS: dict[str, tuple[str, ...]] = {
    "moving left": ("moving left", "goes left", "rolls to the left"),
    "moving right": ("moving right", "goes right", "rolls to the right"),
    "moving up": ("moving up", "rises", "flies up"),
    "moving down": ("moving down", "falls", "sinks down"),
    "growing": ("growing", "comes closer", "gets bigger"),
    "shrinking": ("shrinking", "goes away", "gets smaller"),
    "bouncing": ("bouncing", "bounces", "jumps up and down"),
    "circling": ("circling", "runs in a circle", "goes around"),
}
PLACES: dict[str, tuple[str, ...]] = {
    "black": ("on a black background", "in the dark"),
    "gray": ("on a gray background", "on a grey background"),
    "white": ("on a white background",),
    "day": ("by day", "on a sunny day", "under a blue sky"),
    "sunset": ("at sunset", "in the evening"),
    "night": ("at night", "under the night sky"),
}
RELATIONS = ("above", "below", "left of", "right of")
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
# Motions that leave room for a second solid, with where it may be: those of a row may stand in for one another.
PAIR_MOTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("moving left", "moving right"), RELATIONS[:2]),
    (("moving up", "moving down", "bouncing"), RELATIONS[2:]),
)
USUAL = 0.7  # of all words are the first way to say it
UNSAID = 0.5  # of the captions of the default place leave it out


@dataclass(frozen=True)
class Other:
    """The second solid of a scene, which is at rest: the first is `relation` it."""

    relation: str
    colour: str
    solid: str


@dataclass(frozen=True)
class Kind:
    """What a caption tells of a scene."""

    colour: str
    solid: str
    motion: str
    place: str = DEFAULT_PLACE
    other: Other | None = None

    @property
    def caption(self) -> str:
        """The shortest caption that says everything in the usual words: the default place goes without saying."""
        words = [f"a {self.colour} {self.solid} {self.motion}"]
        if self.other is not None:
            words.append(f"{self.other.relation} a {self.other.colour} {self.other.solid}")
        if self.place != DEFAULT_PLACE:
            words.append(PLACES[self.place][0])
        return " ".join(words)

    def beside(self, rng: np.random.Generator) -> Kind:
        """The same with a second solid of another colour, if this motion leaves room for one."""
        relations = next((relations for motions, relations in PAIR_MOTIONS if self.motion in motions), None)
        if relations is None:
            return self
        colours, solids = [colour for colour in COLOURS if colour != self.colour], tuple(SOLIDS)
        other = Other(relations[rng.integers(2)], colours[rng.integers(len(colours))], solids[rng.integers(len(solids))])
        return replace(self, other=other)


def is_held_out(kind: Kind) -> bool:
    """Whether training never sees this colour, solid, motion and place together: one in nine, each of them seen elsewhere."""
    colour, solid = COLOURS.index(kind.colour), tuple(SOLIDS).index(kind.solid)
    motion, place = tuple(MOTIONS).index(kind.motion), tuple(PLACES).index(kind.place)
    return (colour + 2 * solid + 4 * motion + 7 * place) % 9 == 0


@cache
def kinds(held_out: bool) -> tuple[Kind, ...]:
    """All kinds of one solid of the training set, or all kept from it, in a fixed order."""
    everything = (Kind(*words) for words in product(COLOURS, SOLIDS, MOTIONS, PLACES))
    return tuple(kind for kind in everything if is_held_out(kind) == held_out)


def _said(rng: np.random.Generator, ways: tuple[str, ...]) -> str:
    """One of the ways to say something, mostly the usual one."""
    return ways[0] if rng.uniform() < USUAL else ways[rng.integers(len(ways))]


def phrases(rng: np.random.Generator, kind: Kind) -> list[str]:
    """What a caption says, in order: the solid, its motion, a relation and the second solid if there is one, the place."""
    words = [f"a {kind.colour} {_said(rng, SOLIDS[kind.solid])}", _said(rng, MOTIONS[kind.motion])]
    if kind.other is not None:
        words += [kind.other.relation, f"a {kind.other.colour} {_said(rng, SOLIDS[kind.other.solid])}"]
    if kind.place != DEFAULT_PLACE or rng.uniform() >= UNSAID:
        words.append(_said(rng, PLACES[kind.place]))
    return words


def caption(rng: np.random.Generator, kind: Kind) -> str:
    """A sentence that says what this kind is."""
    return " ".join(phrases(rng, kind))


def every_phrase() -> list[str]:
    """Phrases that hold every word a caption may have, the empty one first."""
    ways: Iterable[tuple[str, ...]] = (*SOLIDS.values(), *MOTIONS.values(), *PLACES.values(), RELATIONS, COLOURS)
    return ["", "a", *(way for group in ways for way in group)]


def judged_prompts(count: int, held_out: bool = False, seed: int = 11, two: bool = False) -> list[str]:
    """Prompts to judge a model by, spread over the training kinds or the held-out ones; of one solid or of two."""
    rng = np.random.default_rng(seed)
    pool = [kinds(held_out)[index] for index in rng.permutation(len(kinds(held_out)))]
    if two:
        pool = [pair for pair in (kind.beside(rng) for kind in pool) if pair.other is not None]
    return [kind.caption for kind in pool[:count]]
