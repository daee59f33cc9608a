"""The templates that learn: a motion or a style from a clip, and other prompts with it; for the published models and the mini.

What the mini learns from is put together inside its graphs, so that nothing has to be found first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .description import Graph, Group, Links, Node
from .parts import BLUE, GREEN, GREY, PROMPT_COLOURS, SEED, VIOLET, Values, about, link, loading, model, t5, take_apart
from .subgraph import Subgraph
from .twins import settings

ZIGZAG = ((1, 6), (5, 10), (9, 12), (12, 6), (15, 1), (17, 6), (21, 11), (24, 6))  # left and top of the square, frame by frame
SQUARE = 8  # pixels
MINI_DRAWN = settings()["keyframes"]
BLACK, DUSK, GREEN_COLOUR = 0x0D0D0D, 0x6B3A12, 0x14CC26


@dataclass(frozen=True)
class Edition:
    """Which models a template is for: the keyframe model, its text encoder, how it is sampled, and how it learns."""

    ending: str
    short: str
    model: str
    text_encoder: str
    drawn: Values
    motion: Values
    style: Values
    prior: float | None  # how much of the start is the clip's own noise; None: all of it is fresh


PUBLISHED = Edition("", "", "show-1-base", "show-1-base/text_encoder", {}, {"learning_rate": 5e-4},
                    {"learning_rate": 5e-4, "train": "spatial attention", "loss": "noise"}, 0.5)
MINI = Edition(", mini (CPU)", " mini", "show1-mini/keyframes", "show1-mini/keyframes/text_encoder",
               MINI_DRAWN,
               {"steps": 100, "learning_rate": 7e-4, "rank": 0, "train": "temporal attention and convolutions",
                "loss": "frame error"},
               {"steps": 120, "learning_rate": 5e-4, "train": "spatial attention and convolutions", "loss": "noise"}, None)


def square(where: str, colour: int) -> Subgraph:
    """Eight frames of a green square that zigzags on a ground of this colour, of core nodes alone."""
    size = {"width": MINI_DRAWN["width"], "height": MINI_DRAWN["height"], "batch_size": 1}
    ground = Node("Ground", "EmptyImage", values={**size, "color": colour})
    solid = Node("Square", "EmptyImage", values={"width": SQUARE, "height": SQUARE, "batch_size": 1, "color": GREEN_COLOUR})
    frames = tuple(Node(f"Frame {number}", "ImageCompositeMasked",
                        {"destination": link("Ground", "IMAGE"), "source": link("Square", "IMAGE")},
                        {"x": x, "y": y, "resize_source": False}) for number, (x, y) in enumerate(ZIGZAG, start=1))
    joined: list[Node] = []
    for number in range(2, len(ZIGZAG) + 1):
        before = link(joined[-1].title, "IMAGE") if joined else link("Frame 1", "IMAGE")
        joined.append(Node(f"Frames 1 to {number}", "ImageBatch", {"image1": before, "image2": link(f"Frame {number}", "IMAGE")}))
    half = len(frames) // 2
    graph = Graph(f"A Green Square on a Zigzag{where}", (
        (Group("Parts", GREY, (ground, solid)),),
        (Group("Frames", BLUE, frames[:half]),), (Group("More frames", BLUE, frames[half:]),),
        (Group("One clip", GREEN, tuple(joined)),)))
    colours = {"square": (("Square", "color"),), "ground": (("Ground", "color"),)}
    return Subgraph(graph, colours, {"images": link(joined[-1].title, "IMAGE")},
                    "Eight small frames: a square that goes right, down and up, for Show-1 mini to learn from.", ("zigzag",))


ON_BLACK, AT_DUSK = square("", BLACK), square(" at Dusk", DUSK)


def text(title: str, value: str, height: int = 90) -> Node:
    return Node(title, "PrimitiveStringMultiline", values={"value": value}, height=height, colours=PROMPT_COLOURS)


def encoded(title: str) -> Node:
    return Node(title, "Show1T5Encode", {"clip": link("Load T5", "CLIP")}, {"prompt": ""}, height=200)


def of(title: str) -> Links:
    return {"positive": link(title, "positive"), "negative": link(title, "negative")}


def learning(edition: Edition, name: str, values: Values, prior: float | None) -> Subgraph:
    """A training, and another prompt with what it has learnt; `prior` as of an edition."""
    loader, tuned = link(loading(edition.model), "MODEL"), link("Load LoRA Model", "model")
    said = link("Encode what it shows", "positive")
    learn = Node("Learn", "Show1TrainMotion", {"model": loader, "positive": said}, values, room=60)
    lora = Node("Load LoRA Model", "LoraModelLoader", {"model": loader, "lora": link("Learn", "lora")}, {"strength_model": 1.0})
    inverting: tuple[Node, ...] = ()
    if prior is not None:  # by what was learnt, as VMC does
        inverting = (Node("Invert", "Show1Invert", {"model": tuned, "positive": link("Encode what it shows", "negative")},
                          {"prior": prior}),)
    start = {"noise": link("Invert", "noise")} if inverting else {}
    drawn = Node("Keyframes", "Show1KeyframeSampler", {"model": tuned, **of("Encode the prompt"), **start},
                 {"seed": SEED, **edition.drawn}, room=140)
    graph = Graph(f"{name} (Show-1{edition.short})", (
        (Group("Text", GREEN, (t5(edition.text_encoder), encoded("Encode what it shows"), encoded("Encode the prompt")), 280),),
        (Group("Learn", BLUE, (model(edition.model), learn), 300),),
        (Group("Then draw", VIOLET, (lora, *inverting, drawn), 300),)))
    clip = (("Learn", "images"), *((node.title, "images") for node in inverting))
    fields = {"shown": (("Encode what it shows", "prompt"),), "prompt": (("Encode the prompt", "prompt"),),
              **{field: (("Learn", field),) for field in ("steps", "learning_rate", "rank")},
              "strength": (("Load LoRA Model", "strength_model"),), "seed": (("Keyframes", "seed"),)}
    outputs = {**{name: link("Learn", name) for name in ("lora", "loss_map", "steps")}, "images": link("Keyframes", "images")}
    return Subgraph(graph, {"images": clip, **fields}, outputs,
                    f"Learns from a clip as a LoRA, and draws another prompt with it: {name.lower()}.",
                    ("motion lora", "train lora"))


def clip_group(edition: Edition, shown: str, prompt: str, square_clip: Subgraph) -> Group:
    """What is learnt from: the user's video, or the mini's square; what it shows, and what to draw then."""
    said = (text("What the clip shows", shown), text("Prompt", prompt))
    if edition is MINI:
        return Group("Learn from", GREY, (square_clip.node("Clip"), *said), 300)
    video = Node("Load Video", "LoadVideo", values={"file": ""}, height=260)
    apart, frames = take_apart(32)
    apart = replace(apart, links={"video": link(video.title, "VIDEO")})
    return Group("Learn from", GREY, (video, apart, frames, *said), 300)


def learnt(edition: Edition, inside: Subgraph, read_me: tuple[str, int], clip: Group, prefix: str) -> Graph:
    """A clip and words in, a LoRA, its curve and keyframes out."""
    title = inside.graph.title.removesuffix(f" (Show-1{edition.short})")
    images = link("Clip", "images") if edition is MINI else link("Frames", "IMAGE")
    node = inside.node(title, {"images": images, "shown": link("What the clip shows", "STRING"),
                               "prompt": link("Prompt", "STRING")}, 140)
    result = (Node("Save the LoRA", "SaveLoRA", {"lora": link(title, "lora"), "steps": link(title, "steps")},
                   {"prefix": f"loras/{prefix}", "steps": 0}),
              Node("Plot the loss", "LossGraphNode", {"loss": link(title, "loss_map")}, {"filename_prefix": "loss"}, height=230),
              Node("See them large", "PreviewImage", {"images": link(title, "images")}, height=260))
    return Graph(f"{title}{edition.ending}", (
        (about(*read_me),), (clip,), (Group("Show-1", BLUE, (node,), 380),), (Group("Result", GREY, result, 360),)))


def motion(edition: Edition, read_me: str, shown: str, prompt: str) -> tuple[Graph, tuple[Subgraph, ...]]:
    """Learn a motion, and draw another prompt with it."""
    inside = learning(edition, "Learn a motion from a clip", edition.motion, edition.prior)
    graph = learnt(edition, inside, (read_me, 560), clip_group(edition, shown, prompt, ON_BLACK), "show1-motion")
    return graph, (inside, *([ON_BLACK] if edition is MINI else []))


def style(edition: Edition, read_me: str, shown: str, prompt: str) -> tuple[Graph, tuple[Subgraph, ...]]:
    """Learn a look, and draw another prompt with it."""
    inside = learning(edition, "Learn a style", edition.style, None)
    graph = learnt(edition, inside, (read_me, 480), clip_group(edition, shown, prompt, AT_DUSK), "show1-style")
    return graph, (inside, *([AT_DUSK] if edition is MINI else []))


def other_subject(edition: Edition, read_me: str, prompt: str) -> tuple[Graph, tuple[Subgraph, ...]]:
    """Another prompt with a LoRA that is there, which acts in the first part of the steps alone."""
    lora = Node("Motion LoRA", "CreateHookLora", {}, {"lora_name": "", "strength_model": 1.0, "strength_clip": 0.0})
    hooks = Group("At first alone", BLUE, (
        Node("From the start", "CreateHookKeyframe", {}, {"strength_mult": 1.0, "start_percent": 0.0}),
        Node("Up to here", "CreateHookKeyframe", {"prev_hook_kf": link("From the start", "HOOK_KF")},
             {"strength_mult": 0.0, "start_percent": 0.5}),
        Node("In these steps", "SetHookKeyframes", {
            "hooks": link("Motion LoRA", "HOOKS"), "hook_kf": link("Up to here", "HOOK_KF")}),
        Node("Prompt with motion", "PairConditioningSetProperties", {
            "positive_NEW": link("Encode the prompt", "positive"), "negative_NEW": link("Encode the prompt", "negative"),
            "hooks": link("In these steps", "HOOKS")}, {"set_cond_area": "default"})), 280)
    drawn = Node("Keyframes", "Show1KeyframeSampler", {
        "model": link(loading(edition.model), "MODEL"), **of("Prompt with motion")}, {"seed": SEED, **edition.drawn}, room=140)
    encode = replace(encoded("Encode the prompt"), links={"clip": link("Load T5", "CLIP"), "prompt": link("Prompt", "STRING")})
    return Graph(f"Same motion, other subject{edition.ending}", (
        (Group("Start here", GREY, (text("Prompt", prompt), *about(read_me, 380).nodes), 340),),
        (Group("Text", GREEN, (t5(edition.text_encoder), encode), 280), Group("The motion", BLUE, (lora,), 280)),
        (hooks,),
        (Group("Then draw", VIOLET, (model(edition.model), drawn), 300),),
        (Group("Result", GREY, (Node("See them large", "PreviewImage", {"images": link("Keyframes", "images")}, height=420),),
               420),))), ()
