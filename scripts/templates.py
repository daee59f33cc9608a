"""The workflows under example_workflows/, described here and written by `python scripts/templates.py`.

Loader nodes carry no `properties.models`: the frontend looks for a model among the *files* of its folder, and what
these loaders load are folders, so it would call models missing that are there. A note in each graph lists the downloads.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from graphs import Graph, Group, Json, Node, Pack, to_ui
from hosts import REPO
from template_parts import (
    ANY_T5,
    BLUE,
    GREEN,
    GREY,
    PREVIEW,
    SEED,
    VIOLET,
    WEIGHTS,
    clip_group,
    clip_links,
    downloads,
    final_group,
    first_frame_group,
    interpolation_group,
    keyframes_group,
    link,
    model,
    muted,
    note,
    prompt,
    refine,
    stage,
    t5_links,
    t5_text,
    upscale_group,
    vae,
    video,
)
from terminal import guarded, say

FOLDER = REPO / "example_workflows"
# By the beginning of a node type's name: who it comes from, and the version these graphs were made with.
PACKS = {"": Pack("comfy-core", "0.3.75"), "Show1": Pack("show-1", "0.1.0")}

READ_ME = """## Show-1: text to video

Eight small keyframes are drawn from the prompt, the motion between them is filled in, and 29 frames are enlarged \
twice: 64x40, 256x160, 576x320, at 8 frames a second.

""" + WEIGHTS + """ DeepFloyd's are under a licence of their own, to be accepted on the model's page. Of \
show-1-interpolation and show-1-sr1 the `text_encoder`, 11.5 GB, is not needed.""" + ANY_T5 + """

**Settings** are those of the published run. The same seed gives the same noise on every machine; to try other takes, \
change the seed of *Keyframes*: it decides what the video shows.

**Without DeepFloyd's model** delete group 3, or give *first_frame* any upscaler's picture of 256x160."""

TEXT_TO_VIDEO = Graph("Show-1 text to video", (
    (Group("Start here", GREY, (
        prompt("A burning lamborghini driving on rainbow."),
        note(READ_ME.format(downloads=downloads(
            "show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")), 420)), 400),),
    (t5_text(), clip_group()),
    (keyframes_group("show-1-base"),),
    (interpolation_group("show-1-interpolation",
                         {"images": link("Keyframes", "images"), "fps": link("Keyframes", "fps")}),),
    (first_frame_group("IF-II-L-v1.0"),),
    (upscale_group("show-1-sr1"),),
    (final_group({"images": link("Upscale", "images")}),),
    (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}, "video/show-1"),),
))

KEYFRAMES_READ_ME = """## Show-1: keyframes only

What the keyframes show decides the whole video, and they are quick to draw. Queue this a few times: the seed changes \
after every run. Take the seed you like to *Show-1 text to video*.

""" + WEIGHTS + ANY_T5

KEYFRAMES_ONLY = Graph("Show-1 keyframes only", (
    (Group("Start here", GREY, (
        prompt("A burning lamborghini driving on rainbow."),
        note(KEYFRAMES_READ_ME.format(downloads=downloads("show-1-base")), 250)), 400),),
    (t5_text(),),
    (Group("Keyframes", BLUE, (
        model("show-1-base"),
        Node("Keyframes", "Show1KeyframeSampler", {
            "model": link("Load show-1-base", "MODEL"), **t5_links()}, {"seed": SEED}, control="randomize", room=PREVIEW))),),
    (Group("Result", GREY, (
        Node("Preview the keyframes", "PreviewImage", {"images": link("Keyframes", "images")}, height=420),), 420),),
))

DRAFTS_READ_ME = """## Show-1: drafts, pick, then upscale

What the keyframes show decides the whole video, and they are quick to draw.

1. Run. Six takes appear on one contact sheet; all later stages are muted, so they cost nothing.
2. Like none? Change the seed of *Drafts* and run again. Like one? Set *take* to its number.
3. Wake the stages: drag over groups 2 to 5 and *Video* with Ctrl held, then Ctrl+M. Run: the takes are not drawn again.

""" + WEIGHTS

DRAFTS = Graph("Show-1 drafts, pick, then upscale", (
    (Group("Start here", GREY, (
        prompt("A burning lamborghini driving on rainbow."),
        note(DRAFTS_READ_ME.format(downloads=downloads(
            "show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")), 380)), 400),),
    (t5_text(), clip_group()),
    (Group("1 Drafts", BLUE, (
        model("show-1-base"),
        Node("Drafts", "Show1KeyframeDrafts", {"model": link("Load show-1-base", "MODEL"), **t5_links()},
             {"seed": SEED, "count": 6}, room=PREVIEW))),),
    (Group("Pick one", BLUE, (
        Node("Contact sheet", "PreviewImage", {"images": link("Drafts", "contact_sheet")}, height=480),
        Node("Pick", "Show1PickDraft", {"images": link("Drafts", "images"), "frames": link("Drafts", "frames")},
             {"take": 1})), 480),),
    (muted(interpolation_group("show-1-interpolation", {"images": link("Pick", "images"), "fps": link("Pick", "fps")})),),
    (muted(first_frame_group("IF-II-L-v1.0")),),
    (muted(upscale_group("show-1-sr1")),),
    (muted(final_group({"images": link("Upscale", "images")})),),
    (muted(video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}, "video/show-1")),),
))

CORE_READ_ME = """## Show-1: keyframes through core samplers

The keyframe model is a native MODEL: LoRA loaders, guiders, samplers and schedulers of ComfyUI work with it. Its \
latents are the pixels themselves, so *Load VAE* is set to `pixel_space`.

The dynamic threshold of the published run is part of the model, so *cfg* can stay at 9. The timesteps are the core \
scheduler's, so the video is not the very one that *Show-1 Keyframes* makes. The other stages have nodes for this too: \
*Show-1 Interpolation Conditioning* and *Show-1 Pixel SR Conditioning*.

""" + WEIGHTS + ANY_T5

CORE_SAMPLERS = Graph("Show-1 keyframes through core samplers", (
    (Group("Start here", GREY, (
        prompt("A burning lamborghini driving on rainbow."),
        note(CORE_READ_ME.format(downloads=downloads("show-1-base")), 310)), 400),),
    (t5_text(),),
    (Group("Keyframes", BLUE, (
        model("show-1-base"),
        Node("Eight small frames", "Show1EmptyPixelLatent"),
        Node("Keyframes", "KSampler", {
            "model": link("Load show-1-base", "MODEL"), **t5_links(), "latent_image": link("Eight small frames", "latent")},
            {"seed": SEED, "steps": 75, "cfg": 9.0, "sampler_name": "dpmpp_2m", "scheduler": "normal"}, room=PREVIEW))),),
    (Group("Result", GREY, (
        Node("Pixels as they are", "VAELoader", values={"vae_name": "pixel_space"}),
        Node("Decode", "VAEDecode", {"samples": link("Keyframes", "LATENT"), "vae": link("Pixels as they are", "VAE")}),
        Node("Preview the keyframes", "PreviewImage", {"images": link("Decode", "IMAGE")}, height=420)), 420),),
))

OWN_VIDEO = """

**Video.** Choose a file in *Load Video*. *Frames* takes the first {frames} of it, so that a first run is quick; \
set it higher as memory allows."""

SMOOTHER_READ_ME = """## Any video, smoother

Three new frames are drawn between every two, as the prompt describes what moves, and the frame rate rises by as much: \
n frames become 4n - 3.""" + OWN_VIDEO.format(frames=16) + """

**Size.** The model was trained on 64x40. Larger sizes, in multiples of 8, keep more of the picture and are less \
certain to move well; *Make any video larger* can follow.

""" + WEIGHTS + ANY_T5

LARGER_READ_ME = """## Any video, larger

The video is scaled to 576x320, and detail that fits the prompt is drawn into it. *denoise* says how much may change: \
0.8 is the published value for clips that Show-1 made; less keeps more of yours.""" + OWN_VIDEO.format(frames=29) + """

""" + WEIGHTS


def own_video(frames: int) -> Group:
    """Frames of a video that the user has."""
    return Group("Your video", BLUE, (
        Node("Load Video", "LoadVideo", values={"file": ""}, height=300),
        Node("Take it apart", "GetVideoComponents", {"video": link("Load Video", "VIDEO")}),
        Node("Frames", "ImageFromBatch", {"image": link("Take it apart", "images")}, {"length": frames}),
    ))


SMOOTHER = Graph("Make any video smoother", (
    (Group("Start here", GREY, (
        prompt("a dog runs along the beach"),
        note(SMOOTHER_READ_ME.format(downloads=downloads("show-1-base", "show-1-interpolation")), 340)), 400),),
    (own_video(16), t5_text()),
    (Group("Motion between frames", GREEN, (
        Node("Resize", "ImageScale", {"image": link("Frames", "IMAGE")},
             {"upscale_method": "area", "width": 64, "height": 40, "crop": "center"}),
        model("show-1-interpolation"),
        stage("Interpolation", "Show1Interpolator", "show-1-interpolation",
              {"images": link("Resize", "IMAGE"), "fps": link("Take it apart", "fps")}))),),
    (video({"images": link("Interpolation", "images"), "fps": link("Interpolation", "fps"),
            "audio": link("Take it apart", "audio")}, "video/smoother"),),
))

LARGER = Graph("Make any video larger", (
    (Group("Start here", GREY, (
        prompt("a dog runs along the beach"),
        note(LARGER_READ_ME.format(downloads=downloads("show-1-sr2")), 320)), 400),),
    (own_video(29), clip_group()),
    (Group("Final size and detail", VIOLET, (
        vae("show-1-sr2/vae"), model("show-1-sr2"),
        refine("show-1-sr2", {**clip_links(), "images": link("Frames", "IMAGE")}, {"denoise": 0.6}))),),
    (video({"images": link("Refine", "images"), "fps": link("Take it apart", "fps"),
            "audio": link("Take it apart", "audio")}, "video/larger"),),
))

MINI_READ_ME = """## Show-1 mini: the whole cascade on a CPU

The same five stages as the real ones, small enough for any computer. It ships with the pack: nothing \
to download. It has only ever seen coloured shapes that move, so ask for those: *a red circle moving right*, \
*a blue square moving down*.

29 frames of 192x128, at 8 frames a second."""

MINI = Graph("Show-1 mini text to video (CPU)", (
    (Group("Start here", GREY, (prompt("a red circle moving right"), note(MINI_READ_ME, 180)), 400),),
    (t5_text("show1-mini/keyframes/text_encoder"),),
    (keyframes_group("show1-mini/keyframes", {"steps": 25, "cfg": 5.0, "width": 24, "height": 16}),),
    (interpolation_group("show1-mini/interpolation",
                         {"images": link("Keyframes", "images"), "fps": link("Keyframes", "fps")}, {"steps": 15, "cfg": 1.0}),),
    (first_frame_group("show1-mini/first-frame", {"steps": 15, "cfg": 1.0, "noise_level": 100}),),
    (upscale_group("show1-mini/sr1", {"steps": 8, "cfg": 1.0, "noise_level": 100}),),
    (Group("5 Final size and detail", VIOLET, (
        vae("show1-mini/sr2/vae"), model("show1-mini/sr2"),
        refine("show1-mini/sr2", {
            **t5_links(), "images": link("Upscale", "images")},
            {"steps": 10, "cfg": 1.0, "denoise": 0.3, "width": 192, "height": 128}))),),
    (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}, "video/show-1-mini"),),
))

MINI_PARTS = ("keyframes", "interpolation", "first-frame", "sr1", "sr2")


def graphs() -> list[Graph]:
    """The templates of this checkout; the mini's only where its models are."""
    shipped = all((REPO / "models" / "show1-mini" / part).is_dir() for part in MINI_PARTS)
    return [TEXT_TO_VIDEO, KEYFRAMES_ONLY, DRAFTS, CORE_SAMPLERS, SMOOTHER, LARGER, *([MINI] if shipped else [])]


def text_of(graph: Graph, object_info: Json) -> str:
    """A template's file, a node a line."""
    workflow = to_ui(graph, object_info, PACKS)
    parts = []
    for key, value in workflow.items():
        several = isinstance(value, list) and value
        lines = "[\n" + ",\n".join(" " + json.dumps(entry) for entry in value) + "\n]" if several else json.dumps(value)
        parts.append(f"{json.dumps(key)}: {lines}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str]) -> int:
    """The command line; a server's address may be given, else one is started."""
    if arguments:
        return write(arguments[0])
    from host_install import ensure
    from host_server import Launch, Server

    with Server(ensure(), Launch()) as server:
        return write(server.url)


def write(url: str) -> int:
    with urllib.request.urlopen(f"{url.rstrip('/')}/object_info") as answer:
        object_info = json.load(answer)
    FOLDER.mkdir(exist_ok=True)
    for graph in graphs():
        file: Path = FOLDER / f"{graph.title}.json"
        file.write_text(text_of(graph, object_info), encoding="utf-8")
        say(f"wrote {file.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    guarded(main)
