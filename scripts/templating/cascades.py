"""What is inside of the templates' and the node library's subgraphs: the cascade, and its stages for any video."""

from __future__ import annotations

from collections.abc import Sequence

from .description import Graph, Group, Links, Node
from .parts import (
    BLUE,
    GREEN,
    VIOLET,
    Values,
    clip_group,
    clip_links,
    encode,
    final_group,
    first_frame_group,
    interpolation_group,
    keyframes_group,
    link,
    loading,
    model,
    refine,
    t5_links,
    t5_text,
    take_apart,
    upscale_group,
    vae,
    video,
)
from .subgraph import Subgraph
from .twins import MODELS, settings

WORDS = ("t2v", "text2video", "generate video", "pixel diffusion", "show-1", "show1")
KEYFRAMES_TO = {"images": link("Keyframes", "images"), "fps": link("Keyframes", "fps")}
TEXT = (("Encode the prompt", "prompt"), ("Prompt for the last stage", "text"))
T5, CLIP, VAE = (("Load T5", "text_encoder"),), (("Load CLIP", "text_encoder"),), (("Load VAE", "vae"),)
STAGES = ("Keyframes", "Interpolation", "First frame", "Upscale", "Refine")
LATER = ("show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")  # models of the stages after the first
MINI_LATER, MINI_SET = tuple(MODELS[name] for name in LATER), ("interpolate", "first_frame", "upscale", "refine")
MINI_TITLE = "Text to Video (Show-1 mini)"


def cascade(steps: tuple[int, ...] = ()) -> Subgraph:
    """Text to video with the published models; `steps` are those of each stage where not the published ones."""
    keyframes, *later = [{"steps": count} for count in steps] or [{}] * len(STAGES)
    graph = Graph("Text to Video (Show-1)", (
        (t5_text(), clip_group()),
        (keyframes_group("show-1-base", keyframes),),
        *to_video(LATER, KEYFRAMES_TO, later, clip_links()),
    ))
    how = " in few steps" if steps else ""
    return Subgraph(graph, {
        "prompt": TEXT, "seed": seeds(*STAGES),
        "keyframe_model": loader("show-1-base"), "interpolation_model": loader("show-1-interpolation"),
        "first_frame_model": loader("IF-II-L-v1.0"), "upscale_model": loader("show-1-sr1"), "final_model": loader("show-1-sr2"),
        "t5": T5, "clip": CLIP, "vae": VAE,
    }, {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
        f"A video of 29 frames, 576x320, from a prompt{how}: keyframes, the motion between them, and two enlargements.", WORDS)


def to_video(models: Sequence[str], keyframes: Links, values: Sequence[Values],
             text: Links) -> tuple[tuple[Group, ...], ...]:
    """The columns from keyframes to a video: a model and its settings for each stage, and the text of the last."""
    between, first, larger, last = zip(models, values, strict=True)
    small = link("Interpolation", "images")
    return (
        (interpolation_group(between[0], keyframes, between[1]),),
        (first_frame_group(first[0], small, first[1]),),
        (upscale_group(larger[0], small, larger[1]),),
        (final_group(last[0], {**text, "images": link("Upscale", "images")}, last[1]),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    )


def seeds(*titles: str) -> tuple[tuple[str, str], ...]:
    return tuple((title, "seed") for title in titles)


def loader(name: str) -> tuple[tuple[str, str], ...]:
    return ((loading(name), "model"),)


def mini_cascade() -> Subgraph:
    """Text to video with the models that ship with the pack."""
    values = settings()
    graph = Graph(MINI_TITLE, (
        (t5_text(MODELS["show-1-base/text_encoder"]),),
        (keyframes_group(MODELS["show-1-base"], values["keyframes"]),),
        *to_video(MINI_LATER, KEYFRAMES_TO, [values[stage] for stage in MINI_SET], t5_links()),
    ))
    return Subgraph(graph, {"prompt": TEXT[:1], "seed": seeds(*STAGES)},
                    {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
                    "A video of shaded solids that move, from a prompt such as \"a red ball moving right at sunset\": the "
                    "whole cascade, small enough for a CPU, with models that ship with the pack.", (*WORDS, "cpu", "demo"))


def finish() -> Subgraph:
    """Keyframes to video: the cascade without its first stage."""
    graph = Graph("Finish the Keyframes (Show-1)", (
        (Group("Text for the pixel stages", GREEN, (encode(),), 290), clip_group()),
        *to_video(LATER, {}, [{}] * len(LATER), clip_links()),
    ))
    later = STAGES[1:]
    return Subgraph(graph, {
        "clip": (("Encode the prompt", "clip"),), "images": (("Interpolation", "images"),),
        "fps": (("Interpolation", "fps"),), "prompt": TEXT, "seed": seeds(*later),
        "interpolation_model": loader("show-1-interpolation"), "first_frame_model": loader("IF-II-L-v1.0"),
        "upscale_model": loader("show-1-sr1"), "final_model": loader("show-1-sr2"), "last_clip": CLIP, "vae": VAE,
    }, {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
        "Keyframes to a video: the motion between them, and two enlargements.")


def mini_finish() -> Subgraph:
    """The same with the models that ship with the pack."""
    values = settings()
    graph = Graph("Finish the Keyframes (Show-1 mini)", (
        (Group("Text for all stages", GREEN, (encode(),), 290),),
        *to_video(MINI_LATER, {}, [values[stage] for stage in MINI_SET], t5_links()),
    ))
    return Subgraph(graph, {
        "clip": (("Encode the prompt", "clip"),), "images": (("Interpolation", "images"),),
        "fps": (("Interpolation", "fps"),), "prompt": TEXT[:1], "seed": seeds(*STAGES[1:]),
    }, {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
        "Keyframes of Show-1 mini to a video: the motion between them, and two enlargements.")


def smoother_video() -> Subgraph:
    """Three new frames between every two of a video."""
    graph = Graph("Smooth Video x4 (Show-1)", (
        (Group("Frames", BLUE, (*take_apart(16), Node(
            "Resize", "ImageScale", {"image": link("Frames", "IMAGE")},
            {"upscale_method": "area", "width": 64, "height": 40, "crop": "center"}))), t5_text()),
        (interpolation_group("show-1-interpolation", {"images": link("Resize", "IMAGE"), "fps": link("Take it apart", "fps")}),),
        (video({"images": link("Interpolation", "images"), "fps": link("Interpolation", "fps"),
                "audio": link("Take it apart", "audio")}),),
    ))
    return Subgraph(graph, {
        **TAKEN, "prompt": TEXT[:1], "seed": seeds("Interpolation"), **FRAMES,
        "width": (("Resize", "width"),), "height": (("Resize", "height"),),
        "interpolation_model": loader("show-1-interpolation"), "t5": T5,
    }, {"video": link("Video", "VIDEO"), "images": link("Interpolation", "images")},
        "Draws three new frames between every two of a video, as the prompt says what moves: four times the frame rate.",
        ("interpolate", "frame interpolation", "smooth video", "slow motion", "fps", "show-1", "show1"))


def upscaled_video() -> Subgraph:
    """A small video four times as large."""
    graph = Graph("Upscale Video x4 (Show-1)", (
        (Group("Frames", BLUE, take_apart(29)), t5_text()),
        (first_frame_group("IF-II-L-v1.0", link("Frames", "IMAGE")),),
        (upscale_group("show-1-sr1", link("Frames", "IMAGE")),),
        (video({"images": link("Upscale", "images"), "fps": link("Take it apart", "fps"),
                "audio": link("Take it apart", "audio")}),),
    ))
    return Subgraph(graph, {
        **TAKEN, "prompt": TEXT[:1], "seed": seeds("First frame", "Upscale"), **FRAMES,
        "first_frame_model": loader("IF-II-L-v1.0"), "upscale_model": loader("show-1-sr1"), "t5": T5,
    }, {"video": link("Video", "VIDEO"), "images": link("Upscale", "images")},
        "Enlarges a small video four times in pixel space. The models were trained on frames of 64x40; "
        "memory and time grow with the size.",
        ("upscale video", "video upscaler", "super resolution", "enlarge", "pixel diffusion", "show-1", "show1"))


def larger_video() -> Subgraph:
    """Any video at the cascade's final size, with detail drawn in."""
    graph = Graph("Enlarge Video (Show-1)", (
        (Group("Frames", BLUE, take_apart(29)), clip_group()),
        (Group("Final size and detail", VIOLET, (
            vae("show-1-sr2/vae"), model("show-1-sr2"),
            refine("show-1-sr2", {**clip_links(), "images": link("Frames", "IMAGE")}, {"denoise": 0.6}))),),
        (video({"images": link("Refine", "images"), "fps": link("Take it apart", "fps"),
                "audio": link("Take it apart", "audio")}),),
    ))
    return Subgraph(graph, {
        **TAKEN, "prompt": TEXT[1:], "seed": seeds("Refine"), **FRAMES,
        "denoise": (("Refine", "denoise"),), "width": (("Refine", "width"),), "height": (("Refine", "height"),),
        "final_model": loader("show-1-sr2"), "clip": CLIP, "vae": VAE,
    }, {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
        "Scales a video to its final size and draws detail into it that fits the prompt.",
        ("upscale video", "super resolution", "refine video", "show-1", "show1"))


TAKEN, FRAMES = {"video": (("Take it apart", "video"),)}, {"frames": (("Frames", "length"),)}
FINISH, MINI_CASCADE, MINI_FINISH = finish(), mini_cascade(), mini_finish()
SMOOTHER_VIDEO, UPSCALED_VIDEO, LARGER_VIDEO = smoother_video(), upscaled_video(), larger_video()
