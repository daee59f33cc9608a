"""The command with a real ComfyUI, on core nodes alone; and many takes of one prompt in one batch."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from batches.session import Session
from batches.workers import Done, Task
from harness import Bench, children, wait_until
from hosting.install import ensure
from hosting.server import Launch, Server
from PIL import Image
from workflows.events import Event

pytestmark = pytest.mark.slow
Json = dict[str, Any]
COLOURS = {"1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}},
           "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0}},
           "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
           "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "colours"}}}
MODEL = "show1-mini/keyframes"
TAKES = {
    "1": {"class_type": "Show1TextEncoderLoader", "inputs": {"text_encoder": f"{MODEL}/text_encoder"}},
    "2": {"class_type": "Show1T5Encode", "inputs": {"clip": ["1", 0], "prompt": "a red ball moving right"}},
    "3": {"class_type": "Show1ModelLoader", "inputs": {"model": MODEL}},
    "4": {"class_type": "Show1KeyframeDrafts", "inputs": {"model": ["3", 0], "positive": ["2", 0], "negative": ["2", 1],
                                                          "count": 3, "steps": 2, "width": 24, "height": 16}},
    "5": {"class_type": "Show1PickDraft", "inputs": {"images": ["4", 0], "take": 1, "frames": ["4", 2]}},
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "take"}},
}


@pytest.fixture
def real(bench: Bench) -> Bench:
    """A bench whose hosts are the real one."""
    for name in ("COMFYUI_PATH", "COMFYUI_PYTHON"):
        bench.environment.pop(name)
        if name in os.environ:
            bench.environment[name] = os.environ[name]
    return bench


def test_core_nodes(real: Bench) -> None:
    """A picture that is uploaded, one that is drawn; the host dies once on the way."""
    real.write_workflow(COLOURS)
    Image.new("RGB", (64, 32), "white").save(real.folder / "white.png")
    real.write_table([("1.image", "2.color"), *(("white.png", number * 1000) for number in range(40))])
    driver = real.start()
    wait_until(lambda: len(real.lines("done")) >= 5, seconds=200)
    next(process for process in children(driver.pid) if "--port" in process.cmdline()).kill()
    assert driver.wait(timeout=300) == 0, real.said()
    done = real.lines("done")
    assert sorted(line["row"] for line in done) == list(range(1, 41)) and len({line["id"] for line in done}) == 40
    for line in done:
        files = sorted((real.output / line["id"]).iterdir())
        with Image.open(files[0]) as first, Image.open(files[1]) as second:
            graph = json.loads(second.text["prompt"])
            red, green, blue = second.getpixel((0, 0))
            assert first.getpixel((0, 0)) == (255, 255, 255)
        assert graph["2"]["inputs"]["color"] == red << 16 | green << 8 | blue == (line["row"] - 1) * 1000
    assert not list(real.output.glob(".part-*"))


def test_takes_share_their_drafts(tmp_path: Path) -> None:
    """Three takes: drawn once, in one batch; every take is a result of its own."""
    with Server(ensure(), Launch(output=tmp_path / "host")) as server:
        cached, frames = asyncio.run(_takes(server.url, tmp_path))
    assert ["4" in nodes for nodes in cached] == [False, True, True]
    assert len(set(frames)) == 3


async def _takes(url: str, folder: Path) -> tuple[list[list[str]], list[bytes]]:
    session, cached, frames = Session(url, "takes"), [], []
    info = await session.open()
    graph = {node_id: node | {"inputs": _defaults(info[node["class_type"]]) | node["inputs"]} for node_id, node in TAKES.items()}
    for take in (1, 2, 3):
        seen: list[Event] = []
        place = folder / str(take)
        place.mkdir()
        graph["5"]["inputs"]["take"] = take
        outcome = await session.run(Task(str(take), graph, (), {}), place, seen.append)
        assert isinstance(outcome, Done), outcome
        cached += [event.data["nodes"] for event in seen if event.type == "execution_cached"]
        with Image.open(sorted(place.iterdir())[0]) as frame:
            frames.append(frame.tobytes())
    await session.close()
    return cached, frames


def _defaults(declared: Json) -> Json:
    """What the inputs of a node are when nothing is said; the first of a choice."""
    known = {}
    for name, (kind, *options) in declared["input"]["required"].items():
        said = options[0] if options else {}
        choices = kind if isinstance(kind, list) else said.get("options")
        if "default" in said or choices:
            known[name] = said.get("default", (choices or [None])[0])
    return known
