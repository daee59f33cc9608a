"""The workflows under example_workflows/, described here and written by `python scripts/templates.py`.

Loader nodes carry no `properties.models`: the frontend looks for a model among the *files* of its folder, and what
these loaders load are folders, so it would call models missing that are there. A note in each graph lists the downloads.
"""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from hosting.hosts import REPO, continue_under
from hosting.install import ensure
from templating.graphs import Graph, Group, Json, Node, Pack, to_ui
from templating.notes import (
    CORE_READ_ME,
    DRAFTS_READ_ME,
    FEW_STEPS,
    KEYFRAMES_READ_ME,
    LARGER_READ_ME,
    MINI_READ_ME,
    PUBLISHED_STEPS,
    READ_ME,
    SMOOTHER_READ_ME,
    downloads,
)
from templating.parts import (
    BLUE,
    GREEN,
    GREY,
    PREVIEW,
    SEED,
    VIOLET,
    clip_group,
    clip_links,
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

CASCADE = ("show-1-base", "show-1-interpolation", "IF-II-L-v1.0", "show-1-sr1", "show-1-sr2")


def text_to_video(title: str, settings: str, steps: tuple[int, ...] = ()) -> Graph:
    """The whole cascade; `settings` says what its numbers are, `steps` are those of each stage where not the published ones."""
    keyframes, interpolation, first_frame, upscale, refined = [{"steps": count} for count in steps] or [{}] * len(CASCADE)
    return Graph(title, (
        (Group("Start here", GREY, (
            prompt("A burning lamborghini driving on rainbow."),
            note(READ_ME.format(downloads=downloads(*CASCADE), settings=settings), 440)), 400),),
        (t5_text(), clip_group()),
        (keyframes_group("show-1-base", keyframes),),
        (interpolation_group("show-1-interpolation",
                             {"images": link("Keyframes", "images"), "fps": link("Keyframes", "fps")}, interpolation),),
        (first_frame_group("IF-II-L-v1.0", first_frame),),
        (upscale_group("show-1-sr1", upscale),),
        (final_group({"images": link("Upscale", "images")}, refined),),
        (video({"images": link("Refine", "images"), "fps": link("Interpolation", "fps")}, "video/show-1"),),
    ))


TEXT_TO_VIDEO = text_to_video("Show-1 text to video", PUBLISHED_STEPS)
FEW = text_to_video("Show-1 text to video, few steps", FEW_STEPS, (25, 25, 15, 25, 20))

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

DRAFTS = Graph("Show-1 drafts, pick, then upscale", (
    (Group("Start here", GREY, (
        prompt("A burning lamborghini driving on rainbow."),
        note(DRAFTS_READ_ME.format(downloads=downloads(*CASCADE)), 380)), 400),),
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
    return [TEXT_TO_VIDEO, FEW, KEYFRAMES_ONLY, DRAFTS, CORE_SAMPLERS, SMOOTHER, LARGER, *([MINI] if shipped else [])]


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
    host = ensure()
    continue_under(host)
    from hosting.server import Launch, Server

    with Server(host, Launch()) as server:
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
