"""The templates that learn: a motion or a style from a clip, and other prompts with it; for the published models and the mini.

What the mini learns from is put together inside its graphs, so that nothing has to be found first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .description import Graph, Group, Links, Node, Value
from .parts import BLUE, GREEN, GREY, PROMPT_COLOURS, SEED, VIOLET, about, link, loading, model, t5, take_apart
from .subgraph import Subgraph

Values = Mapping[str, Value]
ZIGZAG = ((1, 5), (4, 8), (7, 10), (9, 5), (11, 1), (13, 5), (16, 9), (18, 5))  # left and top of the square, frame by frame
MINI_WIDTH, MINI_HEIGHT, SQUARE = 24, 16, 6  # pixels
BLACK, DUSK, GREEN_COLOUR = 0x0D0D0D, 0x6B3A12, 0x14CC26


@dataclass(frozen=True)
class Edition:
    """Which models a template is for: the keyframe model, its text encoder, how it is sampled, and how it learns."""

    ending: str
    model: str
    text_encoder: str
    drawn: Values
    motion: Values
    style: Values
    prior: float


PUBLISHED = Edition("", "show-1-base", "show-1-base/text_encoder", {}, {"learning_rate": 5e-4},
                    {"learning_rate": 5e-4, "train": "spatial attention", "loss": "noise"}, 0.5)
MINI = Edition(", mini (CPU)", "show1-mini/keyframes", "show1-mini/keyframes/text_encoder",
               {"steps": 25, "cfg": 5.0, "width": MINI_WIDTH, "height": MINI_HEIGHT},
               {"steps": 600, "learning_rate": 1e-3, "rank": 0, "train": "temporal attention and convolutions",
                "loss": "frame error"},
               {"steps": 300, "learning_rate": 2e-3, "train": "spatial attention and convolutions", "loss": "noise"}, 0.5)


def square() -> Subgraph:
    """Eight frames of a green square that zigzags, of core nodes alone."""
    size = {"width": MINI_WIDTH, "height": MINI_HEIGHT, "batch_size": 1}
    ground = Node("Ground", "EmptyImage", values={**size, "color": BLACK})
    solid = Node("Square", "EmptyImage", values={"width": SQUARE, "height": SQUARE, "batch_size": 1, "color": GREEN_COLOUR})
    frames = tuple(Node(f"Frame {number}", "ImageCompositeMasked",
                        {"destination": link("Ground", "IMAGE"), "source": link("Square", "IMAGE")},
                        {"x": x, "y": y, "resize_source": False}) for number, (x, y) in enumerate(ZIGZAG, start=1))
    joined: list[Node] = []
    for number in range(2, len(ZIGZAG) + 1):
        before = link(joined[-1].title, "IMAGE") if joined else link("Frame 1", "IMAGE")
        joined.append(Node(f"Frames 1 to {number}", "ImageBatch", {"image1": before, "image2": link(f"Frame {number}", "IMAGE")}))
    half = len(frames) // 2
    graph = Graph("A Green Square on a Zigzag", (
        (Group("Parts", GREY, (ground, solid)),),
        (Group("Frames", BLUE, frames[:half]),), (Group("More frames", BLUE, frames[half:]),),
        (Group("One clip", GREEN, tuple(joined)),)))
    colours = {"square": (("Square", "color"),), "ground": (("Ground", "color"),)}
    return Subgraph(graph, colours, {"images": link(joined[-1].title, "IMAGE")},
                    "Eight frames of 24x16: a square that goes right, down and up, for Show-1 mini to learn from.", ("zigzag",))


SQUARE_CLIP = square()


def text(title: str, value: str, height: int = 90) -> Node:
    return Node(title, "PrimitiveStringMultiline", values={"value": value}, height=height, colours=PROMPT_COLOURS)


def encoded(title: str, source: str) -> Node:
    return Node(title, "Show1T5Encode", {"clip": link("Load T5", "CLIP"), "prompt": link(source, "STRING")}, height=200)


def of(title: str) -> Links:
    return {"positive": link(title, "positive"), "negative": link(title, "negative")}


def clip_group(edition: Edition, shown: str, ground: int = BLACK) -> Group:
    """What is learnt from: the user's video, or the mini's square on its ground; and what it shows, in words."""
    said = text("What the clip shows", shown)
    if edition is MINI:
        return Group("Learn from", GREY, (replace(SQUARE_CLIP.node("Clip"), values={"ground": ground}), said), 300)
    video = Node("Load Video", "LoadVideo", values={"file": ""}, height=280)
    return Group("Learn from", GREY, (video, *take_apart(32), said), 300)


def clip_of(edition: Edition) -> tuple[str, str]:
    return link("Clip", "images") if edition is MINI else link("Frames", "IMAGE")


def words_group(edition: Edition) -> Group:
    return Group("Text", GREEN, (t5(edition.text_encoder), encoded("Encode what it shows", "What the clip shows"),
                                 encoded("Encode the prompt", "Prompt")), 280)


def learn_group(edition: Edition, values: Values, prefix: str) -> Group:
    """The training, its file and its curve."""
    loader = link(loading(edition.model), "MODEL")
    return Group("Learn", BLUE, (
        model(edition.model),
        Node("Learn", "Show1TrainMotion", {"model": loader, "positive": link("Encode what it shows", "positive"),
                                           "images": clip_of(edition)}, values, room=60),
        Node("Save the LoRA", "SaveLoRA", {"lora": link("Learn", "lora"), "steps": link("Learn", "steps")},
             {"prefix": f"loras/{prefix}"})), 300)


def drawn_group(edition: Edition, sampled: str, conditions: str, more: Links, before: tuple[Node, ...] = ()) -> Group:
    """Keyframes with what was learnt."""
    return Group("Then draw", VIOLET, (*before, Node("Keyframes", "Show1KeyframeSampler", {
        "model": link(sampled, "model" if sampled == "Load LoRA Model" else "MODEL"), **of(conditions), **more},
        {"seed": SEED, **edition.drawn}, room=140)), 300)


def curve_group() -> Group:
    return Group("Result", GREY, (
        Node("Plot the loss", "LossGraphNode", {"loss": link("Learn", "loss_map")}, {"filename_prefix": "loss"}, height=240),
        Node("See them large", "PreviewImage", {"images": link("Keyframes", "images")}, height=300)), 320)


def with_lora(edition: Edition) -> Node:
    return Node("Load LoRA Model", "LoraModelLoader", {"model": link(loading(edition.model), "MODEL"),
                                                       "lora": link("Learn", "lora")}, {"strength_model": 1.0})


def start(edition: Edition, read_me: str, height: int, prompt: str) -> Group:
    return Group("Start here", GREY, (text("Prompt", prompt), *about(read_me, height).nodes), 340)


def motion(edition: Edition, read_me: str, shown: str, prompt: str) -> Graph:
    """Learn a motion, and draw another prompt with it."""
    invert = Node("Invert", "Show1Invert", {"model": link("Load LoRA Model", "model"), "images": clip_of(edition),
                                           "positive": link("Encode what it shows", "negative")}, {"prior": edition.prior})
    return Graph(f"Learn a motion from a clip{edition.ending}", (
        (start(edition, read_me, 380, prompt),), (clip_group(edition, shown),), (words_group(edition),),
        (learn_group(edition, edition.motion, "show1-motion"),),
        (drawn_group(edition, "Load LoRA Model", "Encode the prompt", {"noise": link("Invert", "noise")},
                     (with_lora(edition), invert)),),
        (curve_group(),)))


def style(edition: Edition, read_me: str, shown: str, prompt: str) -> Graph:
    """Learn a look, and draw another prompt with it."""
    return Graph(f"Learn a style{edition.ending}", (
        (start(edition, read_me, 340, prompt),), (clip_group(edition, shown, DUSK),), (words_group(edition),),
        (learn_group(edition, edition.style, "show1-style"),),
        (drawn_group(edition, "Load LoRA Model", "Encode the prompt", {}, (with_lora(edition),)),),
        (curve_group(),)))


def other_subject(edition: Edition, read_me: str, prompt: str) -> Graph:
    """Another prompt with a LoRA that is there, which acts in the first part of the steps alone."""
    hooks = Group("The motion, at first", BLUE, (
        Node("Motion LoRA", "CreateHookLora", {}, {"lora_name": "", "strength_model": 1.0, "strength_clip": 0.0}),
        Node("From the start", "CreateHookKeyframe", {}, {"strength_mult": 1.0, "start_percent": 0.0}),
        Node("Up to here", "CreateHookKeyframe", {"prev_hook_kf": link("From the start", "HOOK_KF")},
             {"strength_mult": 0.0, "start_percent": 0.5}),
        Node("In these steps", "SetHookKeyframes", {
            "hooks": link("Motion LoRA", "HOOKS"), "hook_kf": link("Up to here", "HOOK_KF")}),
        Node("Prompt with motion", "PairConditioningSetProperties", {
            "positive_NEW": link("Encode the prompt", "positive"), "negative_NEW": link("Encode the prompt", "negative"),
            "hooks": link("In these steps", "HOOKS")})), 280)
    return Graph(f"Same motion, other subject{edition.ending}", (
        (start(edition, read_me, 380, prompt),),
        (Group("Text", GREEN, (t5(edition.text_encoder), encoded("Encode the prompt", "Prompt")), 280),),
        (hooks,),
        (drawn_group(edition, loading(edition.model), "Prompt with motion", {}, (model(edition.model),)),),
        (Group("Result", GREY, (Node("See them large", "PreviewImage", {"images": link("Keyframes", "images")}, height=420),),
               420),)))
