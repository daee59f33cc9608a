"""Paints the graph of every template into docs/templates, as the host's frontend shows it: `python tests/browser/pictures.py`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPO / "scripts"), str(Path(__file__).parent)]

from frontend import Frontend  # noqa: E402
from hosting.hosts import MODELS, continue_under  # noqa: E402
from hosting.install import ensure  # noqa: E402
from hosting.miniatures import build_miniatures  # noqa: E402
from terminal import Failure, guarded, say  # noqa: E402
from testing.browser import find_browser  # noqa: E402

PICTURES = REPO / "docs" / "templates"
WIDEST = 2000  # pixels


def main(arguments: list[str]) -> int:
    """The command line."""
    host = ensure()
    continue_under(host)
    build_miniatures(host)
    browser = find_browser()
    if isinstance(browser, str):
        raise Failure(browser)
    files = sorted((REPO / "example_workflows").glob("*.json"))
    workflows = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    from hosting.server import Launch, Server
    from PIL import Image

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        launch = Launch(models=(MODELS,), output=folder, arguments=("--user-directory", scratch))
        with Server(host, launch) as server:
            Frontend(server.url, browser, folder).open(workflows, files[0].stem, pictures=[*workflows])
        PICTURES.mkdir(exist_ok=True)
        for title in workflows:
            picture = Image.open(folder / f"{title}.graph.png").convert("RGB")
            picture.thumbnail((WIDEST, WIDEST))
            picture.save(PICTURES / f"{title}.jpg", quality=80)
            say(f"{PICTURES / title}.jpg: {picture.width}x{picture.height}")
    return 0


if __name__ == "__main__":
    guarded(main)
