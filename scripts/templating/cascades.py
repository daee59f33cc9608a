"""What is inside of the templates' and the node library's subgraphs: the cascade, and its stages for any video."""

from __future__ import annotations

from .description import Graph, Group, Node
from .parts import (
    BLUE,
    GREEN,
    VIOLET,
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
from .twins import settings

WORDS = ("t2v", "text2video", "generate video", "pixel diffusion", "show-1", "show1")
KEYFRAMES_TO = {"images": link("Keyframes", "images"), "fps": link("Keyframes", "fps")}
TEXT = (("Encode the prompt", "prompt"), ("Prompt for the last stage", "text"))
T5, CLIP, VAE = (("Load T5", "text_encoder"),), (("Load CLIP", "text_encoder"),), (("Load VAE", "vae"),)
STAGES = ("Keyframes", "Interpolation", "First frame", "Upscale", "Refine")
MINI_TITLE = "Text to Video (Show-1 mini)"


def cascade(steps: tuple[int, ...] = ()) -> Subgraph:
    """Text to video with the published models; `steps` are those of each stage where not the published ones."""
    keyframes, interpolation, first_frame, upscale, refined = [{"steps": count} for count in steps] or [{}] * len(STAGES)
    graph = Graph("Text to Video (Show-1)", (
        (t5_text(), clip_group()),
        (keyframes_group("show-1-base", keyframes),),
        (interpolation_group("show-1-interpolation", KEYFRAMES_TO, interpolation),),
        (first_frame_group("IF-II-L-v1.0", link("Interpolation", "images"), first_frame),),
        (upscale_group("show-1-sr1", link("Interpolation", "images"), upscale),),
        (final_group("show-1-sr2", {**clip_links(), "images": link("Upscale", "images")}, refined),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    how = " in few steps" if steps else ""
    return Subgraph(graph, {
        "prompt": TEXT, "seed": seeds(*STAGES),
        "keyframe_model": loader("show-1-base"), "interpolation_model": loader("show-1-interpolation"),
        "first_frame_model": loader("IF-II-L-v1.0"), "upscale_model": loader("show-1-sr1"), "final_model": loader("show-1-sr2"),
        "t5": T5, "clip": CLIP, "vae": VAE,
    }, {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
        f"A video of 29 frames, 576x320, from a prompt{how}: keyframes, the motion between them, and two enlargements.", WORDS)


def seeds(*titles: str) -> tuple[tuple[str, str], ...]:
    return tuple((title, "seed") for title in titles)


def loader(name: str) -> tuple[tuple[str, str], ...]:
    return ((loading(name), "model"),)


def mini_cascade() -> Subgraph:
    """Text to video with the models that ship with the pack."""
    values = settings()
    keyframes, interpolation, first_frame, sr1, sr2 = (
        f"show1-mini/{part}" for part in ("keyframes", "interpolation", "first-frame", "sr1", "sr2"))
    graph = Graph(MINI_TITLE, (
        (t5_text(f"{keyframes}/text_encoder"),),
        (keyframes_group(keyframes, values["keyframes"]),),
        (interpolation_group(interpolation, KEYFRAMES_TO, values["interpolate"]),),
        (first_frame_group(first_frame, link("Interpolation", "images"), values["first_frame"]),),
        (upscale_group(sr1, link("Interpolation", "images"), values["upscale"]),),
        (final_group(sr2, {**t5_links(), "images": link("Upscale", "images")}, values["refine"]),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
    ))
    return Subgraph(graph, {"prompt": TEXT[:1], "seed": seeds(*STAGES)},
                    {"video": link("Video", "VIDEO"), "images": link("Refine", "images")},
                    "A video of shaded solids that move, from a prompt such as \"a red ball moving right at sunset\": the "
                    "whole cascade, small enough for a CPU, with models that ship with the pack.", (*WORDS, "cpu", "demo"))


def finish() -> Subgraph:
    """Keyframes to video: the cascade without its first stage."""
    graph = Graph("Finish the Keyframes (Show-1)", (
        (Group("Text for the pixel stages", GREEN, (encode(),), 290), clip_group()),
        (interpolation_group("show-1-interpolation", {}),),
        (first_frame_group("IF-II-L-v1.0", link("Interpolation", "images")),),
        (upscale_group("show-1-sr1", link("Interpolation", "images")),),
        (final_group("show-1-sr2", {**clip_links(), "images": link("Upscale", "images")}),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
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
    interpolation, first_frame, sr1, sr2 = (f"show1-mini/{part}" for part in ("interpolation", "first-frame", "sr1", "sr2"))
    graph = Graph("Finish the Keyframes (Show-1 mini)", (
        (Group("Text for all stages", GREEN, (encode(),), 290),),
        (interpolation_group(interpolation, {}, values["interpolate"]),),
        (first_frame_group(first_frame, link("Interpolation", "images"), values["first_frame"]),),
        (upscale_group(sr1, link("Interpolation", "images"), values["upscale"]),),
        (final_group(sr2, {**t5_links(), "images": link("Upscale", "images")}, values["refine"]),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}),),
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
