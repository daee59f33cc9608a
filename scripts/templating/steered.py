"""The templates in which a clip is longer, holds given frames, changes over time, or is finished by another model."""

from __future__ import annotations

from .description import Graph, Group, Links, Node
from .parts import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    PREVIEW,
    SEED,
    VIOLET,
    about,
    encode,
    from_prompt,
    link,
    model,
    muted,
    prompt,
    saved,
    stage,
    start,
    t5_links,
    t5_text,
)
from .steering import ANIMATED, JOINED, LONGER, LOOP, TRAVELLED
from .steering_notes import (
    ANIMATE_READ_ME,
    FINISH_READ_ME,
    JOIN_READ_ME,
    LONGER_READ_ME,
    LOOP_READ_ME,
    TRAVEL_READ_ME,
)
from .subgraph import Subgraph, Template

WAN = {"model": "wan2.1_t2v_1.3B_fp16.safetensors", "text": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
       "vae": "wan_2.1_vae.safetensors"}
RESULT = 380  # pixels: height of the node that saves


def from_pictures(title: str, text: str, note: tuple[str, int], inside: Subgraph, pictures: dict[str, str]) -> Template:
    """Pictures by the input that they are for, a prompt, one node, video."""
    name = inside.graph.title.removesuffix(" (Show-1)").capitalize()
    loaded = tuple(Node(picture, "LoadImage", values={"image": ""}, height=200) for picture in pictures.values())
    links = {**{given: link(picture, "IMAGE") for given, picture in pictures.items()}, "prompt": link("Prompt", "STRING")}
    return Template(Graph(title, (
        (about(*note),),
        (Group("Start here", GREY, (*loaded, prompt(text, 100)), 300),),
        (Group("Show-1", BLUE, (inside.node(name, links, PREVIEW),), 360),),
        (saved(link(name, "video"), "video/show-1", RESULT),),
    )), (inside,))


def over_time() -> Template:
    """Two prompts: the one that changes, and the last stage's."""
    name = "Prompts over time"
    last = Node("What is seen in all of it", "PrimitiveStringMultiline", values={"value": "a ball by day"}, height=88)
    links = {"prompt": link("Prompt", "STRING"), "last_prompt": link(last.title, "STRING")}
    text = "0: a red ball moving right by day | 4: a blue ball moving right by day"
    return Template(Graph("Prompts over time", (
        (about(TRAVEL_READ_ME, 400),),
        (Group("Start here", GREY, (prompt(text), last), 300),),
        (Group("Show-1", BLUE, (TRAVELLED.node(name, links, PREVIEW),), 360),),
        (saved(link(name, "video"), "video/show-1"),),
    )), (TRAVELLED,))


def drafted() -> tuple[Group, Group]:
    """Takes on a sheet, and the motion between the keyframes of one of them."""
    takes = Node("Drafts", "Show1KeyframeDrafts", {"model": link("Load show-1-base", "MODEL"), **t5_links()},
                 {"seed": SEED, "count": 4}, room=60)
    picked = Node("Pick", "Show1PickDraft", {"images": link("Drafts", "images"), "frames": link("Drafts", "frames")}, {"take": 1})
    return (Group("Drafts", BLUE, (model("show-1-base"), takes)),
            Group("Pick one", BLUE, (
                Node("Contact sheet", "PreviewImage", {"images": link("Drafts", "contact_sheet")}, height=280), picked),
                300))


def motion(**links: tuple[str, str]) -> Links:
    return {"images": link("Pick", "images"), "fps": link("Pick", "fps"), **links}


def redrawn() -> tuple[Group, ...]:
    """The clip through another model, by core nodes: Wan 2.1 at part denoise."""
    text = {"clip": link("Load its text encoder", "CLIP")}
    words = (Node("Its prompt", "CLIPTextEncode", {**text, "text": link("Prompt", "STRING")}, height=60),
             Node("Its negative", "CLIPTextEncode", text, {"text": "blurry, static, low quality"}, height=60))
    sampling = {"model": link("Shift", "MODEL"), "positive": link("Its prompt", "CONDITIONING"),
                "negative": link("Its negative", "CONDITIONING"), "latent_image": link("Encode", "LATENT")}
    return (
        Group("Motion between them", GREEN, (
            model("show-1-interpolation"),
            stage("Interpolation", "Show1Interpolator", "show-1-interpolation", motion()),
            Node("Enlarge", "ImageScale", {"image": link("Interpolation", "images")},
                 {"upscale_method": "bicubic", "width": 768, "height": 480, "crop": "disabled"}))),
        Group("Another model", AMBER, (
            Node("Load another model", "UNETLoader", values={"unet_name": WAN["model"], "weight_dtype": "default"}),
            Node("Shift", "ModelSamplingSD3", {"model": link("Load another model", "MODEL")}, {"shift": 8.0}),
            Node("Load its text encoder", "CLIPLoader", values={"clip_name": WAN["text"], "type": "wan", "device": "default"}),
            Node("Load its VAE", "VAELoader", values={"vae_name": WAN["vae"]}), *words)),
        Group("Redraw", VIOLET, (
            Node("Encode", "VAEEncode", {"pixels": link("Enlarge", "IMAGE"), "vae": link("Load its VAE", "VAE")}),
            Node("Redraw", "KSampler", sampling, {"seed": SEED, "steps": 30, "cfg": 6.0, "sampler_name": "uni_pc",
                                                  "scheduler": "simple", "denoise": 0.6}, room=PREVIEW),
            Node("Decode", "VAEDecode", {"samples": link("Redraw", "LATENT"), "vae": link("Load its VAE", "VAE")}),
            Node("Video", "CreateVideo", {"images": link("Decode", "IMAGE")}, {"fps": 16.0}))),
    )


def redrawing() -> Subgraph:
    """The second half of the template as one node."""
    graph = Graph("Redraw by Another Model", tuple((group,) for group in (
        Group("Text for the pixel stages", GREEN, (encode(),), 290), *redrawn())))
    return Subgraph(graph, {
        "clip": (("Encode the prompt", "clip"),), "images": (("Interpolation", "images"),), "fps": (("Interpolation", "fps"),),
        "prompt": (("Encode the prompt", "prompt"), ("Its prompt", "text")), "denoise": (("Redraw", "denoise"),),
        "seed": (("Interpolation", "seed"), ("Redraw", "seed")),
        "width": (("Enlarge", "width"),), "height": (("Enlarge", "height"),),
        "interpolation_model": (("Load show-1-interpolation", "model"),), "other_model": (("Load another model", "unet_name"),),
        "other_text_encoder": (("Load its text encoder", "clip_name"),), "other_vae": (("Load its VAE", "vae_name"),),
    }, {"video": link("Video", "VIDEO"), "images": link("Decode", "IMAGE")},
        "Keyframes to a clip, and the clip drawn anew by another video model, as much as denoise says.")


def finish_anywhere() -> Template:
    """Takes and the choice of one; then, muted at first, another model."""
    drafts, picked = drafted()
    inside = redrawing()
    links = {**motion(clip=link("Load T5", "CLIP"), prompt=link("Prompt", "STRING"))}
    return Template(Graph("Draft here, finish anywhere", (
        (start("A burning lamborghini driving on rainbow.", FINISH_READ_ME, 420),),
        (t5_text(),),
        (drafts,), (picked,),
        (muted(Group("Then let another model draw it", AMBER, (inside.node("Redraw", links, 60),))),
         muted(saved(link("Redraw", "video"), "video/show-1", 300))),
    )), (inside,))


STEERED = (
    from_prompt("Longer video", "a dog runs along the beach", (LONGER_READ_ME, 430), LONGER, "Text to long video"),
    from_pictures("Animate a picture", "a boat sails on a calm lake", (ANIMATE_READ_ME, 560), ANIMATED, {"picture": "Picture"}),
    from_pictures("From this frame to that", "a boat sails on a calm lake", (JOIN_READ_ME, 560), JOINED,
                  {"first": "First", "last": "Last"}),
    from_prompt("Seamless loop", "waves roll onto a beach", (LOOP_READ_ME, 400), LOOP, "Seamless loop"),
    over_time(),
    finish_anywhere(),
)
