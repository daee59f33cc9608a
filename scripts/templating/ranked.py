"""The templates that draw many takes and finish the one which follows the prompt best; for the published models and the mini."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .cascades import FINISH, MINI_FINISH
from .description import Graph, Group, Node, Value
from .parts import BLUE, GREEN, SEED, link, loading, model, saved, start, t5_links, t5_text
from .subgraph import Subgraph, Template
from .twins import settings

TAKES = 16
ROUGH = {"steps": 5, "cfg": 5.0}  # how the mini draws its takes: as it ships it is always right, and nothing is to choose
CLIP = "clip-vit-base-patch32"


@dataclass(frozen=True)
class Edition:
    """Which models a template is for: what draws, what scores, and what finishes the best take."""

    ending: str
    model: str
    text_encoder: str
    scorer: str
    finish: Subgraph
    drawn: Mapping[str, Value] = field(default_factory=dict)


PUBLISHED = Edition("", "show-1-base", "show-1-base/text_encoder", CLIP, FINISH)
MINI = Edition(", mini (CPU)", "show1-mini/keyframes", "show1-mini/keyframes/text_encoder", "show1-mini/scorer", MINI_FINISH,
               {**settings()["keyframes"], **ROUGH})


def ranked(edition: Edition, text: str, note: tuple[str, int]) -> Template:
    """Takes, their order, and the first of them to its end."""
    drafts = Node("Drafts", "Show1KeyframeDrafts", {"model": link(loading(edition.model), "MODEL"), **t5_links()},
                  {"seed": SEED, "count": TAKES, **edition.drawn}, room=60)
    rank = Node("Rank", "Show1RankDrafts", {
        "images": link("Drafts", "images"), "frames": link("Drafts", "frames"), "prompt": link("Prompt", "STRING")},
        {"clip": edition.scorer}, height=196)
    pick = Node("Pick", "Show1PickDraft", {"images": link("Rank", "images"), "frames": link("Drafts", "frames")}, {"take": 1})
    sheet = Node("All takes", "PreviewImage", {"images": link("Rank", "sheet")}, height=300)
    finish = edition.finish.node("Finish", {
        "clip": link("Load T5", "CLIP"), "images": link("Pick", "images"), "fps": link("Pick", "fps"),
        "prompt": link("Prompt", "STRING")}, 60)
    return Template(Graph(f"Draw 16, keep the best{edition.ending}", (
        (start(text, *note, width=410),),
        (t5_text(edition.text_encoder),),
        (Group("Drafts", BLUE, (model(edition.model), drafts)),),
        (Group("Keep the best", BLUE, (rank, pick)), Group("The best first", BLUE, (sheet,), 320)),
        (Group("Then finish it", GREEN, (finish,), 340), saved(link("Finish", "video"), "video/show-1", 330, 340)),
    )), (edition.finish,))
