"""What the templates are put together from: nodes and groups that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .description import NOTE, Graph, Group, Links, Node, Value
from .subgraph import Subgraph, Template

GREY, BLUE, GREEN, AMBER, RED, VIOLET = "#9aa0a6", "#5b8fd0", "#5bb57f", "#c9a557", "#cf7058", "#9a70d0"
PROMPT_COLOURS = {"color": "#232", "bgcolor": "#353"}
PREVIEW = 140  # pixels that the frontend adds to a node for its live preview
SEED = 345
Values = Mapping[str, Value]


def link(title: str, output: str) -> tuple[str, str]:
    return title, output


def model(name: str) -> Node:
    return Node(loading(name), "Show1ModelLoader", values={"model": name})


def loading(name: str) -> str:
    """The title of a model's loader."""
    return f"Load {name.removeprefix('show1-mini/')}"


def t5(name: str = "show-1-base/text_encoder") -> Node:
    return Node("Load T5", "Show1TextEncoderLoader", values={"text_encoder": name})


def prompt(text: str, height: int = 130) -> Node:
    return Node("Prompt", "PrimitiveStringMultiline", values={"value": text}, height=height, colours=PROMPT_COLOURS)


def encode() -> Node:
    links = {"clip": link("Load T5", "CLIP"), "prompt": link("Prompt", "STRING")}
    return Node("Encode the prompt", "Show1T5Encode", links, height=230)


def clip_text(title: str, links: Links, values: Values | None = None) -> Node:
    return Node(title, "CLIPTextEncode", {"clip": link("Load CLIP", "CLIP"), **links}, values or {}, height=110)


def t5_links() -> Links:
    return {key: link("Encode the prompt", key) for key in ("positive", "negative")}


def stage(title: str, kind: str, loader: str, links: Links, values: Values | None = None) -> Node:
    """A stage in pixel space: T5 text, and room for its live preview."""
    inputs = {"model": link(loading(loader), "MODEL"), **t5_links(), **links}
    return Node(title, kind, inputs, {"seed": SEED, **(values or {})}, room=PREVIEW)


def refine(loader: str, links: Links, values: Values | None = None) -> Node:
    inputs = {"model": link(loading(loader), "MODEL"), "vae": link("Load VAE", "VAE"), **links}
    return Node("Refine", "Show1LatentSR", inputs, {"seed": SEED, **(values or {})}, room=PREVIEW)


def clip_links() -> Links:
    return {"positive": link("Prompt for the last stage", "CONDITIONING"),
            "negative": link("Negative for the last stage", "CONDITIONING")}


def vae(name: str) -> Node:
    return Node("Load VAE", "Show1VAELoader", values={"vae": name})


def note(text: str, height: int) -> Node:
    return Node("Read me", NOTE, values={"text": text}, height=height)


def take_apart(frames: int) -> tuple[Node, Node]:
    """The first frames of a video; its sound and frame rate come from the first of the two nodes."""
    return (Node("Take it apart", "GetVideoComponents"),
            Node("Frames", "ImageFromBatch", {"image": link("Take it apart", "images")}, {"length": frames}))


def video(links: Links) -> Group:
    return Group("Video", GREY, (Node("Video", "CreateVideo", links),))


def saved(source: tuple[str, str], prefix: str, height: int = 420, width: int = 420) -> Group:
    """The last group of a template."""
    file = Node("Save the video", "SaveVideo", {"video": source}, {"filename_prefix": prefix}, height=height)
    return Group("Result", GREY, (file,), width)


def about(text: str, height: int) -> Group:
    """The first group of a template whose prompt has other company."""
    return Group("Read me", GREY, (note(text, height),), 380)


def start(text: str, read_me: str, height: int, width: int = 380) -> Group:
    """The first group of a template: the prompt, and what to know."""
    return Group("Start here", GREY, (prompt(text), note(read_me, height)), width)


def t5_text(encoder: str = "show-1-base/text_encoder") -> Group:
    return Group("Text for the pixel stages", GREEN, (t5(encoder), encode()), 290)


def clip_group() -> Group:
    return Group("Text for the last stage", VIOLET, (
        Node("Load CLIP", "Show1TextEncoderLoader", values={"text_encoder": "show-1-sr2/text_encoder"}),
        clip_text("Prompt for the last stage", {"text": link("Prompt", "STRING")}),
        clip_text("Negative for the last stage", {}, {"text": "low resolution, blur"}),
    ), 290)


def keyframes_group(name: str, values: Values | None = None) -> Group:
    return Group("1 Keyframes", BLUE, (model(name), stage("Keyframes", "Show1KeyframeSampler", name, {}, values)))


def muted(group: Group) -> Group:
    """The group, not run until its nodes are woken."""
    return replace(group, nodes=tuple(replace(node, muted=True) for node in group.nodes))


def interpolation_group(name: str, links: Links, values: Values | None = None) -> Group:
    return Group("2 Motion between them", GREEN, (
        model(name), stage("Interpolation", "Show1Interpolator", name, links, values)))


def first_frame_group(name: str, image: tuple[str, str], values: Values | None = None) -> Group:
    return Group("3 First frame, enlarged", AMBER, (
        model(name), stage("First frame", "Show1FirstFrameSR", name, {"image": image}, values)))


def upscale_group(name: str, images: tuple[str, str], values: Values | None = None) -> Group:
    links = {"images": images, "first_frame": link("First frame", "image")}
    return Group("4 All frames, enlarged", RED, (model(name), stage("Upscale", "Show1PixelSR", name, links, values)))


def final_group(name: str, links: Links, values: Values | None = None) -> Group:
    return Group("5 Final size and detail", VIOLET, (vae(f"{name}/vae"), model(name), refine(name, links, values)))


def from_prompt(title: str, text: str, note: tuple[str, int], inside: Subgraph, name: str = "Text to video") -> Template:
    """A template of a prompt, one node of this name, and a video."""
    node = replace(inside.node(name, {"prompt": link("Prompt", "STRING")}, PREVIEW), height=220)  # also where it has few fields
    return Template(Graph(title, (
        (start(text, *note),),
        (Group("Show-1", BLUE, (node,), 380),),
        (saved(link(name, "video"), "video/show-1"),),
    )), (inside,))
