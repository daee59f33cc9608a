"""The workflows of example_workflows/, described here and written by `python scripts/templates.py`; it also writes the node
library's, under subgraphs/.

Loader nodes carry no `properties.models`: the frontend looks for a model among the *files* of its folder, and what
these loaders load are folders, so it would call models missing that are there. A note in each graph lists the downloads.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from pathlib import Path

from hosting.hosts import REPO, continue_under
from hosting.install import ensure
from templating.cascades import FINISH, LARGER_VIDEO, MINI_CASCADE, SMOOTHER_VIDEO, UPSCALED_VIDEO, cascade
from templating.description import Graph, Group, Json, Node, Pack
from templating.notes import (
    CORE_READ_ME,
    DRAFTS_READ_ME,
    FEW_READ_ME,
    KEYFRAMES_READ_ME,
    LARGER_READ_ME,
    MINI_MOTION_READ_ME,
    MINI_OTHER_READ_ME,
    MINI_RANK_READ_ME,
    MINI_READ_ME,
    MINI_STYLE_READ_ME,
    MOTION_READ_ME,
    OTHER_READ_ME,
    RANK_READ_ME,
    READ_ME,
    SMOOTHER_READ_ME,
    STYLE_READ_ME,
)
from templating.parts import (
    BLUE,
    GREEN,
    GREY,
    PREVIEW,
    SEED,
    VIOLET,
    about,
    from_prompt,
    link,
    model,
    muted,
    prompt,
    saved,
    start,
    t5_links,
    t5_text,
)
from templating.ranked import MINI as MINI_RANKING
from templating.ranked import PUBLISHED as PUBLISHED_RANKING
from templating.ranked import ranked
from templating.steered import STEERED
from templating.subgraph import Subgraph, Template, blueprint, to_ui
from templating.tuning import MINI as MINI_EDITION
from templating.tuning import PUBLISHED, motion, other_subject, style
from terminal import guarded, say

FOLDER, BLUEPRINTS = REPO / "example_workflows", REPO / "subgraphs"
# By the beginning of a node type's name: who it comes from, and the version these graphs were made with.
PACKS = {"": Pack("comfy-core", "0.3.75"), "Show1": Pack("show-1", "0.1.0")}
LAMBORGHINI = "A burning lamborghini driving on rainbow."
DOG = "a dog runs along the beach"


def own_video(title: str, note: tuple[str, int], colour: str, inside: Subgraph, prefix: str) -> Template:
    """Frames of a video that the user has, through one node, and a video again."""
    links = {"video": link("Load Video", "VIDEO"), "prompt": link("Prompt", "STRING")}
    name = inside.graph.title.removesuffix(" (Show-1)")
    return Template(Graph(title, (
        (about(*note),),
        (Group("Start here", GREY, (Node("Load Video", "LoadVideo", values={"file": ""}, height=300), prompt(DOG)), 410),),
        (Group("Show-1", colour, (inside.node(name, links, PREVIEW),), 360),),
        (saved(link(name, "video"), prefix),),
    )), (inside,))


TEXT_TO_VIDEO = from_prompt("Show-1 text to video", LAMBORGHINI, (READ_ME, 500), cascade())
FEW = from_prompt("Show-1 text to video, few steps", LAMBORGHINI, (FEW_READ_ME, 380), cascade((25, 25, 15, 25, 20)))
MINI = from_prompt("Show-1 mini text to video (CPU)", "a red ball moving right at sunset", (MINI_READ_ME, 300), MINI_CASCADE)
SMOOTHER = own_video("Make any video smoother", (SMOOTHER_READ_ME, 480), GREEN, SMOOTHER_VIDEO, "video/smoother")
LARGER = own_video("Make any video larger", (LARGER_READ_ME, 440), VIOLET, LARGER_VIDEO, "video/larger")

KEYFRAMES_ONLY = Template(Graph("Show-1 keyframes only", (
    (start(LAMBORGHINI, KEYFRAMES_READ_ME, 360),),
    (t5_text(),),
    (Group("Keyframes", BLUE, (
        model("show-1-base"),
        Node("Keyframes", "Show1KeyframeSampler", {
            "model": link("Load show-1-base", "MODEL"), **t5_links()}, {"seed": SEED}, control="randomize", room=PREVIEW))),),
    (Group("Result", GREY, (
        Node("See them large", "PreviewImage", {"images": link("Keyframes", "images")}, height=420),), 420),),
)))

DRAFTS = Template(Graph("Show-1 drafts, pick, then upscale", (
    (start(LAMBORGHINI, DRAFTS_READ_ME, 440),),
    (t5_text(),),
    (Group("Drafts", BLUE, (
        model("show-1-base"),
        Node("Drafts", "Show1KeyframeDrafts", {"model": link("Load show-1-base", "MODEL"), **t5_links()},
             {"seed": SEED, "count": 6}, room=60))),),
    (Group("Pick one", BLUE, (
        Node("Contact sheet", "PreviewImage", {"images": link("Drafts", "contact_sheet")}, height=420),
        Node("Pick", "Show1PickDraft", {"images": link("Drafts", "images"), "frames": link("Drafts", "frames")},
             {"take": 1})), 400),),
    (muted(Group("Then finish it", GREEN, (
        FINISH.node("Finish", {"clip": link("Load T5", "CLIP"), "images": link("Pick", "images"), "fps": link("Pick", "fps"),
                               "prompt": link("Prompt", "STRING")}, 60),))),
     muted(saved(link("Finish", "video"), "video/show-1", 330))),
)), (FINISH,))

RANKED = ranked(PUBLISHED_RANKING, LAMBORGHINI, (RANK_READ_ME, 640))
MINI_RANKED = ranked(MINI_RANKING, "a red ball moving right above a blue cube", (MINI_RANK_READ_ME, 430))

CORE_SAMPLERS = Template(Graph("Show-1 keyframes through core samplers", (
    (start(LAMBORGHINI, CORE_READ_ME, 440),),
    (t5_text(), Group("Size", GREY, (Node("Eight small frames", "Show1EmptyPixelLatent"),), 290)),
    (Group("Keyframes", BLUE, (
        model("show-1-base"),
        Node("Keyframes", "KSampler", {
            "model": link("Load show-1-base", "MODEL"), **t5_links(), "latent_image": link("Eight small frames", "latent")},
            {"seed": SEED, "steps": 75, "cfg": 9.0, "sampler_name": "dpmpp_2m", "scheduler": "normal"}, room=PREVIEW))),),
    (Group("Result", GREY, (
        Node("Pixels as they are", "VAELoader", values={"vae_name": "pixel_space"}),
        Node("Decode", "VAEDecode", {"samples": link("Keyframes", "LATENT"), "vae": link("Pixels as they are", "VAE")}),
        Node("See them large", "PreviewImage", {"images": link("Decode", "IMAGE")}, height=420)), 420),),
)))

MOTION = Template(*motion(PUBLISHED, MOTION_READ_ME, "a shark is swimming", "a plane is flying in the sky"))
OTHER = Template(*other_subject(PUBLISHED, OTHER_READ_ME, "a plane is flying in the sky"))
STYLE = Template(*style(PUBLISHED, STYLE_READ_ME, "a cat is walking, in the style of an ink drawing",
                       "a tank on a snowy road, in the style of an ink drawing"))
MINI_MOTION = Template(*motion(MINI_EDITION, MINI_MOTION_READ_ME, "a green cube", "a red ball"))
MINI_OTHER = Template(*other_subject(MINI_EDITION, MINI_OTHER_READ_ME, "a blue cone"))
MINI_STYLE = Template(*style(MINI_EDITION, MINI_STYLE_READ_ME, "a green cube", "a red ball moving right"))


def templates() -> list[Template]:
    """Everything in the template browser, the flagship first."""
    return [TEXT_TO_VIDEO, FEW, KEYFRAMES_ONLY, DRAFTS, RANKED, CORE_SAMPLERS, SMOOTHER, LARGER, *STEERED, MOTION, OTHER, STYLE,
            MINI, MINI_RANKED, MINI_MOTION, MINI_OTHER, MINI_STYLE]


def blueprints() -> list[Subgraph]:
    """What the frontend lists in its node library."""
    return [cascade(), MINI_CASCADE, UPSCALED_VIDEO, SMOOTHER_VIDEO]


def files(object_info: Json) -> dict[Path, str]:
    """Everything that this command writes."""
    written = {FOLDER / f"{template.graph.title}.json": to_ui(template.graph, template.subgraphs, object_info, PACKS)
               for template in templates()}
    written |= {BLUEPRINTS / f"{subgraph.graph.title}.json": blueprint(subgraph, object_info, PACKS)
                for subgraph in blueprints()}
    return {file: text_of(workflow) for file, workflow in written.items()}


def text_of(workflow: Json) -> str:
    """A workflow's file, a node a line."""
    parts = []
    for key, value in workflow.items():
        several = isinstance(value, list) and value
        lines = "[\n" + ",\n".join(" " + json.dumps(entry) for entry in value) + "\n]" if several else json.dumps(value)
        parts.append(f"{json.dumps(key)}: {lines}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="templates.py", description="Write the workflows of example_workflows/ and subgraphs/.")
    parser.add_argument("server", nargs="?", metavar="URL", help="a ComfyUI that runs; else one is started")
    server_url = parser.parse_args(arguments).server
    if server_url:
        return write(server_url)
    host = ensure()
    continue_under(host)
    from hosting.server import Launch, Server

    with Server(host, Launch()) as server:
        return write(server.url)


def write(url: str) -> int:
    with urllib.request.urlopen(f"{url.rstrip('/')}/object_info") as answer:
        object_info = json.load(answer)
    for file, text in files(object_info).items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        say(f"wrote {file.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    guarded(main)
