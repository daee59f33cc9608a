"""Makes the pictures under which the templates are listed, by running each of them with the Show-1 mini models:
`python scripts/thumbnails.py [TITLE ...]`.

The graphs are the templates' own; where one names a published model the mini's of the same stage takes its place, at the
mini's sizes. Templates that want the user's video get a rendered one. The cards are square, as the template browser shows
them (motifs.py).
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from hosting.hosts import REPO, Host, continue_under
from hosting.install import ensure
from templating import motifs
from templating.description import Json
from templating.motifs import Motif
from terminal import Failure, guarded, say

FOLDER = REPO / "example_workflows"
MODELS = {
    "show-1-base": "show1-mini/keyframes",
    "show-1-interpolation": "show1-mini/interpolation",
    "IF-II-L-v1.0": "show1-mini/first-frame",
    "show-1-sr1": "show1-mini/sr1",
    "show-1-sr2": "show1-mini/sr2",
    "show-1-base/text_encoder": "show1-mini/keyframes/text_encoder",
    "show-1-sr2/text_encoder": "show1-mini/keyframes/text_encoder",
    "show-1-sr2/vae": "show1-mini/sr2/vae",
}
# By node title, what the mini was made for; the templates hold the published settings.
MINI: dict[str, Json] = {
    "Keyframes": {"steps": 25, "cfg": 5.0, "width": 24, "height": 16},
    "Drafts": {"steps": 25, "cfg": 5.0, "width": 24, "height": 16, "count": 4},
    "Eight small frames": {"width": 24, "height": 16},
    "Resize": {"width": 24, "height": 16},
    "Interpolation": {"steps": 15, "cfg": 1.0},
    "First frame": {"steps": 15, "cfg": 1.0, "noise_level": 100},
    "Upscale": {"steps": 8, "cfg": 1.0, "noise_level": 100},
    "Refine": {"steps": 10, "cfg": 1.0, "denoise": 0.3, "width": 192, "height": 128},
    "Learn": {"steps": 600, "learning_rate": 1e-3, "rank": 0},
}
VIDEO = "show1-thumbnails.mp4"  # among the host's inputs while this runs


@dataclass(frozen=True)
class Take:
    """What a template is asked for, and the node and output whose frames its picture shows, how."""

    prompt: str
    node: str
    motif: Motif = motifs.grid
    output: int = 0


RUNS = {
    "Show-1 text to video": Take("a yellow circle moving right", "Refine", motifs.trail),
    "Show-1 text to video, few steps": Take("a green circle moving up", "Refine"),
    "Show-1 mini text to video (CPU)": Take("a red circle moving right", "Refine"),
    "Show-1 keyframes only": Take("a purple circle moving left", "Keyframes", motifs.pixels),
    "Show-1 keyframes through core samplers": Take("a green circle growing", "Decode", motifs.pixels),
    "Show-1 drafts, pick, then upscale": Take("a cyan circle moving down", "Drafts", motifs.takes),
    "Make any video smoother": Take("a blue circle moving up", "Interpolation", motifs.between),
    "Make any video larger": Take("a green triangle moving left", "Refine", motifs.before_and_after),
    # the first of these saves the LoRA that the second and third take
    "Learn a motion from a clip, mini (CPU)": Take("a red circle", "Keyframes", motifs.trail),
    "Same motion, other subject, mini (CPU)": Take("a blue triangle", "Keyframes", motifs.trail),
    "Same motion, other subject": Take("a yellow circle", "Keyframes", motifs.trail),
    "Learn a motion from a clip": Take("a purple circle moving left", "Keyframes", motifs.trail),
    "Learn a style, mini (CPU)": Take("a red circle moving right", "Keyframes", motifs.pixels),
    "Learn a style": Take("a blue circle moving up", "Keyframes", motifs.pixels),
}


def fitted(prompt: Json, run: Take, loras: list[str]) -> Json:
    """A template's prompt, its models the mini's, its LoRA the last that was saved, its frames saved without loss."""
    titled = {node["_meta"]["title"]: node_id for node_id, node in prompt.items()}
    for node in prompt.values():
        title, inputs = node["_meta"]["title"], node["inputs"]
        inputs.update({name: MODELS.get(value, value) for name, value in inputs.items() if isinstance(value, str)})
        inputs.update({name: value for name, value in MINI.get(title, {}).items() if name in inputs})
        if node["class_type"] == "LoadVideo":
            inputs["file"] = VIDEO
        if title == "Prompt":
            inputs["value"] = run.prompt
        if "lora_name" in inputs:
            inputs["lora_name"] = loras[-1]
    saving = {"images": [titled[run.node], run.output], "filename_prefix": "thumbnail"}
    return prompt | {"thumbnail": {"class_type": "SaveImage", "inputs": saving, "_meta": {"title": "Thumbnail"}}}


def write_video(path: Path, prompt: str) -> None:
    """A rendered clip of what the prompt says, 96x64, every fourth frame."""
    import av
    import numpy as np

    sys.path.insert(0, str(REPO))
    from mini import shapes

    kind = next(kind for held_out in (True, False) for kind in shapes.kinds(held_out) if kind.caption.startswith(prompt))
    scene = shapes.scene_of(np.random.default_rng(0), kind)
    frames = shapes.render([scene], shapes.keyframe_times(), (64, 96))[0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
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
            write_video(videos / VIDEO, run.prompt)
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
        (videos / VIDEO).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """The command line."""
    unknown = [title for title in arguments if title not in RUNS]
    if unknown:
        raise Failure(f"there is no template {unknown[0]!r}; there are {', '.join(RUNS)}.")
    host = ensure()
    continue_under(host)
    run_all(host, arguments or list(RUNS))
    return 0


if __name__ == "__main__":
    guarded(main)
