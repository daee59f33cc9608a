"""What the templates are put together from: nodes and groups that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .graphs import NOTE, Group, Node, Value

GREY, BLUE, GREEN, AMBER, RED, VIOLET = "#9aa0a6", "#5b8fd0", "#5bb57f", "#c9a557", "#cf7058", "#9a70d0"
PROMPT_COLOURS = {"color": "#232", "bgcolor": "#353"}
PREVIEW = 220  # pixels that the frontend adds to a node for its live preview
SEED = 345
Links = Mapping[str, tuple[str, str]]
Values = Mapping[str, Value]


def link(title: str, output: str) -> tuple[str, str]:
    return title, output


def model(name: str) -> Node:
    return Node(loading(name), "Show1ModelLoader", values={"model": name})


def loading(name: str) -> str:
    """The title of a model's loader."""
    return f"Load {name.removeprefix('show1-mini/')}"


def t5(name: str) -> Node:
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


def preview(title: str, source: tuple[str, str]) -> Node:
    return Node(title, "PreviewImage", {"images": source}, height=250)


def note(text: str, height: int) -> Node:
    return Node("Read me", NOTE, values={"text": text}, height=height)


def video(links: Links, prefix: str) -> Group:
    made = Node("Video", "CreateVideo", links)
    saved = Node("Save the video", "SaveVideo", {"video": link("Video", "VIDEO")}, {"filename_prefix": prefix}, height=340)
    return Group("Video", GREY, (made, saved), 330)


def t5_text(encoder: str = "show-1-base/text_encoder") -> Group:
    return Group("Text for the pixel stages", GREEN, (t5(encoder), encode()), 310)


def clip_group() -> Group:
    return Group("Text for the last stage", VIOLET, (
        Node("Load CLIP", "Show1TextEncoderLoader", values={"text_encoder": "show-1-sr2/text_encoder"}),
        clip_text("Prompt for the last stage", {"text": link("Prompt", "STRING")}),
        clip_text("Negative for the last stage", {}, {"text": "low resolution, blur"}),
    ), 310)


def keyframes_group(name: str, values: Values | None = None) -> Group:
    return Group("1 Keyframes", BLUE, (
        model(name), stage("Keyframes", "Show1KeyframeSampler", name, {}, values),
        preview("Preview the keyframes", link("Keyframes", "images"))))


def muted(group: Group) -> Group:
    """The group, not run until its nodes are woken."""
    return replace(group, nodes=tuple(replace(node, muted=True) for node in group.nodes))


def interpolation_group(name: str, links: Links, values: Values | None = None) -> Group:
    return Group("2 Motion between them", GREEN, (
        model(name), stage("Interpolation", "Show1Interpolator", name, links, values)))


def first_frame_group(name: str, values: Values | None = None) -> Group:
    links = {"image": link("Interpolation", "images")}
    return Group("3 First frame, enlarged", AMBER, (
        model(name), stage("First frame", "Show1FirstFrameSR", name, links, values)))


def upscale_group(name: str, values: Values | None = None) -> Group:
    links = {"images": link("Interpolation", "images"), "first_frame": link("First frame", "image")}
    return Group("4 All frames, enlarged", RED, (
        model(name), stage("Upscale", "Show1PixelSR", name, links, values),
        preview("Preview the enlarged frames", link("Upscale", "images"))))


def final_group(links: Links, values: Values | None = None) -> Group:
    return Group("5 Final size and detail", VIOLET, (
        vae("show-1-sr2/vae"), model("show-1-sr2"), refine("show-1-sr2", {**clip_links(), **links}, values)))
