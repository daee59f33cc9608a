"""What is inside of the templates in which a clip is longer, begins or ends with given frames, or changes over time."""

from __future__ import annotations

from .cascades import CLIP, KEYFRAMES_TO, STAGES, T5, TEXT, VAE, WORDS, loader, seeds
from .description import Graph, Group, Links, Node
from .parts import (
    BLUE,
    GREY,
    PREVIEW,
    RED,
    SEED,
    VIOLET,
    clip_group,
    clip_links,
    final_group,
    first_frame_group,
    interpolation_group,
    keyframes_group,
    link,
    loading,
    model,
    refine,
    stage,
    t5_links,
    t5_text,
    upscale_group,
    vae,
    video,
)
from .subgraph import Subgraph

BASE, SR1, SR2 = "show-1-base", "show-1-sr1", "show-1-sr2"
LONG = 64  # keyframes of a longer video
MODELS = {"keyframe_model": loader(BASE), "interpolation_model": loader("show-1-interpolation"), "upscale_model": loader(SR1),
          "final_model": loader(SR2), "t5": T5, "clip": CLIP, "vae": VAE}
FIRST_FRAME = {"first_frame_model": loader("IF-II-L-v1.0")}
OUT = {"video": link("Video", "VIDEO"), "images": link("Refine", "images")}
WINDOWS = {"context_schedule": "standard_static", "dim": 2}
GIVEN = {"first_frame": link("Given frames", "first_frame"), "last_frame": link("Given frames", "last_frame")}


def windows(title: str, name: str, length: int, overlap: int) -> Node:
    """A model that sees so many frames at once of a longer clip."""
    return Node(title, "ContextWindowsManual", {"model": link(loading(name), "MODEL")},
                {**WINDOWS, "context_length": length, "context_overlap": overlap})


def long_final_group() -> Group:
    """The last stage, in windows of as many frames as it was trained on."""
    many = windows("29 frames at once", SR2, 29, 8)
    return Group("5 Final size and detail", VIOLET, (vae(f"{SR2}/vae"), model(SR2), many, refine(
        SR2, {**clip_links(), "model": link(many.title, "MODEL"), "images": link("Upscale", "images")})))


def longer() -> Subgraph:
    """Many keyframes, drawn in windows of eight, and the cascade behind them."""
    few = few_at_once()
    graph = Graph("Text to Long Video (Show-1)", (
        (t5_text(), clip_group()),
        (Group("1 Keyframes", BLUE, (model(BASE), few, stage("Keyframes", "Show1KeyframeSampler", BASE, {
            "model": link(few.title, "MODEL")}, {"frames": LONG, "free_noise": True}))),),
        (interpolation_group("show-1-interpolation", KEYFRAMES_TO),),
        (first_frame_group("IF-II-L-v1.0", link("Interpolation", "images")),),
        (upscale_group(SR1, link("Interpolation", "images")),),
        (long_final_group(),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    outside = {"prompt": TEXT, "seed": seeds(*STAGES), "keyframes": (("Keyframes", "frames"),), **MODELS, **FIRST_FRAME}
    return Subgraph(graph, outside, OUT,
                    "A longer video, 576x320, from a prompt: n keyframes become 4n - 3 frames.", (*WORDS, "long video"))


def decoded(samples: tuple[str, str]) -> tuple[Node, Node]:
    """Latents of a pixel model, which are the pixels themselves, as frames."""
    pixels = Node("Pixels as they are", "VAELoader", values={"vae_name": "pixel_space"})
    return Node("Decode", "VAEDecode", {"samples": samples, "vae": link(pixels.title, "VAE")}), pixels


def few_at_once() -> Node:
    """The keyframe model, seeing as many keyframes as it was trained on."""
    return windows("Eight keyframes at once", BASE, 8, 4)


def given_keyframes(links: Links, *loaders: Node) -> tuple[Group, Group]:
    """Keyframes around those that are given; the model's loader, where no group before has it."""
    given = Node("Given frames", "Show1GivenFrames", links)
    latent = {"model": link(loading(BASE), "MODEL"), **t5_links(), "latent_image": link("Given frames", "latent")}
    sampling = {"seed": SEED, "steps": 75, "cfg": 9.0, "sampler_name": "dpmpp_2m", "scheduler": "normal"}
    return (Group("Given frames", GREY, (given,)),
            Group("1 Keyframes between them", BLUE, (
                *loaders, Node("Keyframes", "KSampler", latent, sampling, room=PREVIEW),
                *decoded(link("Keyframes", "LATENT")))))


def long_keyframes(links: Links) -> tuple[Group, Group, Group]:
    """Keyframes that begin with given ones: eight as KSampler draws them, more in windows, from free noise."""
    given, seen = Node("Given frames", "Show1GivenFrames", links), few_at_once()
    by = {"model": link(seen.title, "MODEL")}
    noise = Node("Noise", "Show1FreeNoise", by, {"seed": SEED})
    guider = Node("Guidance", "CFGGuider", {**by, **t5_links()}, {"cfg": 9.0})
    steps = Node("Steps", "BasicScheduler", by, {"scheduler": "normal", "steps": 75, "denoise": 1.0})
    solver = Node("Solver", "KSamplerSelect", values={"sampler_name": "dpmpp_2m"})
    drawn = Node("Keyframes", "SamplerCustomAdvanced", {
        "noise": link(noise.title, "noise"), "guider": link(guider.title, "GUIDER"), "sampler": link(solver.title, "SAMPLER"),
        "sigmas": link(steps.title, "SIGMAS"), "latent_image": link(given.title, "latent")}, room=PREVIEW)
    return (Group("Given frames", GREY, (given,)),
            Group("How keyframes are drawn", BLUE, (model(BASE), seen, noise, guider, steps)),
            Group("1 Keyframes after them", BLUE, (solver, drawn, *decoded(link(drawn.title, "output")))))


def told_upscale(links: Links) -> Group:
    """Enlarging, shown given frames at the large size."""
    return Group("4 All frames, enlarged", RED, (
        model(SR1), stage("Upscale", "Show1PixelSR", SR1, {"images": link("Interpolation", "images"), **links})))


DECODED = {"images": link("Decode", "IMAGE")}
GIVEN_STAGES = ("Keyframes", "Interpolation", "Upscale", "Refine")


def animated() -> Subgraph:
    """A picture that the video begins with."""
    given, how, keyframes = long_keyframes({})
    graph = Graph("Animate a Picture (Show-1)", (
        (t5_text(), clip_group()), (given,), (how,), (keyframes,),
        (interpolation_group("show-1-interpolation", DECODED),),
        (told_upscale({"first_frame": GIVEN["first_frame"]}),),
        (long_final_group(),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    outside = {"picture": (("Given frames", "first_frames"),), "prompt": TEXT, "seed": seeds("Noise", *GIVEN_STAGES[1:]),
               "keyframes": (("Given frames", "frames"),), **MODELS}
    return Subgraph(graph, outside, OUT, "A video that begins with a picture and goes on as the prompt says.",
                    ("image to video", "i2v", "animate", "first frame", "show-1", "show1"))


def joined() -> Subgraph:
    """A video from one picture to another."""
    given, keyframes = given_keyframes({}, model(BASE))
    graph = Graph("From Frame to Frame (Show-1)", (
        (t5_text(), clip_group()), (given,), (keyframes,),
        (interpolation_group("show-1-interpolation", DECODED),), (told_upscale(GIVEN),),
        (final_group(SR2, {**clip_links(), "images": link("Upscale", "images")}),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    return Subgraph(graph, {"first": (("Given frames", "first_frames"),), "last": (("Given frames", "last_frames"),),
                            "prompt": TEXT, "seed": seeds(*GIVEN_STAGES), **MODELS},
                    OUT, "A video that begins with one picture and ends with another.",
                    ("image to video", "first last frame", "flf2v", "start end frame", "transition", "show-1", "show1"))


def loop() -> Subgraph:
    """A video whose end is its beginning: a keyframe is drawn, and then is both the first and the last."""
    drawn = stage("A first take", "Show1KeyframeSampler", BASE, {})
    start = Node("Its first frame", "ImageFromBatch", {"image": link(drawn.title, "images")}, {"length": 1})
    given, keyframes = given_keyframes({name: link(start.title, "IMAGE") for name in ("first_frames", "last_frames")})
    once = Node("The last is the first", "ImageFromBatch", {"image": link("Refine", "images")}, {"length": 28})
    told = {name: link("First frame", "image") for name in ("first_frame", "last_frame")}
    graph = Graph("Seamless Loop (Show-1)", (
        (t5_text(), clip_group()),
        (Group("A beginning", BLUE, (model(BASE), drawn, start)), given), (keyframes,),
        (interpolation_group("show-1-interpolation", DECODED),),
        (first_frame_group("IF-II-L-v1.0", link("Interpolation", "images")),),
        (told_upscale(told),),
        (final_group(SR2, {**clip_links(), "images": link("Upscale", "images")}),),
        (Group("Video", GREY, (once, Node("Video", "CreateVideo", {
            "images": link(once.title, "IMAGE"), "fps": link("Interpolation", "fps")}))),),
    ))
    return Subgraph(graph, {"prompt": TEXT, "seed": seeds(drawn.title, *STAGES), **MODELS, **FIRST_FRAME},
                    {"video": OUT["video"], "images": link(once.title, "IMAGE")},
                    "A video of 28 frames that can be played over and over: its end leads into its beginning.",
                    ("loop", "seamless", "gif", "text to video", "show-1", "show1"))


def travelled() -> Subgraph:
    """Text to video whose prompt changes on the way, the last stage's prompt beside it."""
    graph = Graph("Prompts over Time (Show-1)", (
        (t5_text(), clip_group()),
        (keyframes_group(BASE),),
        (interpolation_group("show-1-interpolation", KEYFRAMES_TO),),
        (first_frame_group("IF-II-L-v1.0", link("Interpolation", "images")),),
        (upscale_group(SR1, link("Interpolation", "images")),),
        (final_group(SR2, {**clip_links(), "images": link("Upscale", "images")}),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    return Subgraph(graph, {"prompt": TEXT[:1], "last_prompt": TEXT[1:], "seed": seeds(*STAGES), **MODELS, **FIRST_FRAME}, OUT,
                    "A video whose prompt changes on the way, such as \"0: a ball moving right | 4: a ball moving left\".",
                    (*WORDS, "prompt travel", "prompt schedule"))


LONGER, ANIMATED, JOINED, LOOP, TRAVELLED = longer(), animated(), joined(), loop(), travelled()
