"""Makes the pictures under which the templates are listed, by running each of them with the Show-1 mini models:
`python scripts/thumbnails.py [TITLE ...]`.

The graphs are the templates' own; where one names a published model the mini's of the same stage takes its place, at the
mini's sizes. Templates that want the user's video get a rendered one. The cards are square, as the template browser shows
them (motifs.py).
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from hosting.hosts import REPO, Host, continue_under
from hosting.install import ensure
from templating import motifs
from templating.description import Json
from templating.motifs import Motif
from templating.tuning import MINI
from templating.twins import mini_twin
from terminal import Failure, guarded, say

FOLDER = REPO / "example_workflows"
VIDEO, FIRST, LAST = "show1-thumbnails.mp4", "show1-first.png", "show1-last.png"  # among the host's inputs while this runs


@dataclass(frozen=True)
class Take:
    """What a template is asked for, and the node and output whose frames its picture shows, how."""

    prompt: str
    node: str
    motif: Motif = motifs.grid
    output: int = 0
    values: Json = field(default_factory=dict)  # what else differs, by the title of a node


# How long the mini has to learn, also in the templates for the published models.
MINI_LESSON: dict[str, Json] = {"Learn": {name: MINI.motion[name] for name in ("steps", "learning_rate", "rank")}}
MINI_STYLE_LESSON: dict[str, Json] = {"Learn": {"steps": MINI.style["steps"]}}
FOUR_TAKES = {"Drafts": {"count": motifs.TAKES}}
LEARNING = "Learn a motion from a clip, mini (CPU)"
CHANGE = "0: a red ball moving right by day | 4: a blue ball moving right by day"
TO_AND_FRO = " | ".join(f"{start}: a red ball moving {way} by day" for start, way in ((0, "right"), (8, "left"), (16, "right")))
RUNS = {
    "Show-1 text to video": Take("a yellow cone moving right at night", "Refine", motifs.trail),
    "Show-1 text to video, few steps": Take("a green ball moving up at sunset", "Refine"),
    "Show-1 mini text to video (CPU)": Take("a red ball moving right at sunset", "Refine"),
    "Show-1 keyframes only": Take("a purple cube moving left by day", "Keyframes", motifs.pixels),
    "Show-1 keyframes through core samplers": Take("a green cone growing at sunset", "Decode", motifs.pixels),
    "Show-1 drafts, pick, then upscale": Take("a red cube bouncing at sunset", "Drafts", motifs.takes, values=FOUR_TAKES),
    "Draw 16, keep the best": Take("a green ball moving up left of a pink cube", "Rank", motifs.ranked_takes, values=FOUR_TAKES),
    "Draw 16, keep the best, mini (CPU)": Take("a red ball moving right above a blue cube", "Rank", motifs.best_of_many),
    "Make any video smoother": Take("a blue ball moving up at sunset", "Interpolation", motifs.between),
    "Make any video larger": Take("a green cone moving left by day", "Refine", motifs.before_and_after),
    "Longer video": Take(TO_AND_FRO, "Keyframes", motifs.film, values={"Keyframes": {"frames": 24}}),
    "Animate a picture": Take("a pink ball moving right by day", "Refine", motifs.from_the_first),
    "From this frame to that": Take("a red cube moving right at sunset", "Refine", motifs.ends, values={"Last": {"image": LAST}}),
    "Seamless loop": Take("a blue ball circling by day", "The last is the first", motifs.ring),
    "Prompts over time": Take(CHANGE, "Refine", motifs.rows, values={"What is seen in all of it": {"value": "a ball by day"}}),
    "Draft here, finish anywhere": Take("a purple cube moving down at sunset", "Drafts", motifs.handed_on, values=FOUR_TAKES),
    # the first of these saves the LoRA that the second and third take
    LEARNING: Take("a red ball", "Keyframes", motifs.trail),
    "Same motion, other subject, mini (CPU)": Take("a pink cone at night", "Keyframes", motifs.trail),
    "Same motion, other subject": Take("a yellow ball at night", "Keyframes", motifs.trail),
    "Learn a motion from a clip": Take("a purple ball moving left", "Keyframes", motifs.trail, values=MINI_LESSON),
    "Learn a style, mini (CPU)": Take("a red ball moving right", "Keyframes", motifs.pixels),
    "Learn a style": Take("a blue ball moving up at sunset", "Keyframes", motifs.pixels, values=MINI_STYLE_LESSON),
}


def fitted(prompt: Json, run: Take, loras: list[str]) -> Json:
    """A template's prompt, its models the mini's, its LoRA the last that was saved, its frames saved without loss."""
    prompt = mini_twin(prompt, {"Prompt": {"value": run.prompt}, **run.values}, {"file": VIDEO, "image": FIRST})
    for node in prompt.values():
        if "lora_name" in node["inputs"]:
            if not loras:
                raise Failure(f"this template takes a saved LoRA and there is none; name {LEARNING!r} before it.")
            node["inputs"]["lora_name"] = loras[-1]
    titled = {node["_meta"]["title"]: node_id for node_id, node in prompt.items()}
    saving = {"images": [titled[run.node], run.output], "filename_prefix": "thumbnail"}
    return prompt | {"thumbnail": {"class_type": "SaveImage", "inputs": saving, "_meta": {"title": "Thumbnail"}}}


def write_inputs(folder: Path, prompt: str) -> None:
    """A rendered clip of what the prompt says, every fourth frame, and its first and last frame; nothing for other prompts."""
    import av
    import numpy as np
    from PIL import Image

    sys.path.insert(0, str(REPO))
    from mini.grammar import kinds
    from mini.recipes import MIDDLE
    from mini.render import render
    from mini.world import keyframe_times, scene_of

    kind = next((kind for kind in (*kinds(True), *kinds(False)) if kind.caption == prompt), None)
    if kind is None:
        return
    height, width = MIDDLE
    frames = render([scene_of(np.random.default_rng(0), kind)], keyframe_times(), MIDDLE)[0]
    for name, frame in ((FIRST, frames[0]), (LAST, frames[-1])):
        Image.fromarray((frame * 255).astype(np.uint8)).save(folder / name)
    with av.open(str(folder / VIDEO), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in (frames * 255).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


async def paint(url: str, videos: Path, output: Path, titles: list[str]) -> None:
    """Run templates at a server and save their pictures."""
    from PIL import Image
    from workflows import workflow
    from workflows.client import Client

    async with Client(url) as client:
        for title in titles:
            info, run = await client.object_info(), RUNS[title]
            content = json.loads((FOLDER / f"{title}.json").read_text(encoding="utf-8"))
            write_inputs(videos, run.prompt)
            loras = info["CreateHookLora"]["input"]["required"]["lora_name"][0]
            prompt_id = await client.queue(fitted(workflow.to_api(content, info), run, loras))
            end = await client.follow(prompt_id, lambda event: None)
            if end.type != "execution_success":
                raise Failure(f"{title} ended with {end.type}: {end.data.get('exception_message')}")
            files = [file for file in await client.outputs(prompt_id) if file.name.startswith("thumbnail")]
            frames = [Image.open(io.BytesIO((output / file).read_bytes())).convert("RGB") for file in files]
            run.motif(frames).save(FOLDER / f"{title}.jpg", quality=85)
            say(f"{title}: {len(frames)} frames")


def run_all(host: Host, titles: list[str]) -> None:
    """Start a server for the runs; the rendered video is taken away again."""
    import tempfile

    from hosting.hosts import BASE
    from hosting.server import Launch, Server

    videos = BASE / "input"
    try:
        with tempfile.TemporaryDirectory() as scratch, Server(host, Launch(output=Path(scratch))) as server:
            asyncio.run(paint(server.url, videos, Path(scratch), titles))
    finally:
        for name in (VIDEO, FIRST, LAST):
            (videos / name).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="thumbnails.py", description="Make the pictures under which the templates are listed.")
    parser.add_argument("titles", nargs="*", metavar="TITLE", help="of templates, in this order (default: all)")
    titles = parser.parse_args(arguments).titles
    unknown = [title for title in titles if title not in RUNS]
    if unknown:
        raise Failure(f"there is no template {unknown[0]!r}; there are {', '.join(RUNS)}.")
    host = ensure()
    continue_under(host)
    run_all(host, titles or list(RUNS))
    return 0


if __name__ == "__main__":
    guarded(main)
