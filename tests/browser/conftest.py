"""The host's own frontend and a newer one with both of its renderers, in headless Chromium; skipped where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# Last on the path: scripts/comfy.py must not stand before the host's own package of that name.
sys.path += [str(REPO / "scripts"), str(Path(__file__).parent)]

from frontend import Frontend  # noqa: E402
from hosting.hosts import MODELS  # noqa: E402
from hosting.install import ensure  # noqa: E402
from hosting.miniatures import build_miniatures  # noqa: E402
from hosting.server import Launch, Server  # noqa: E402
from testing.browser import NEWER_FRONTEND, find_browser  # noqa: E402

OWN, NEWER = (), ("--front-end-root", str(NEWER_FRONTEND))
NEW_NODES = {"Comfy.VueNodes.Enabled": True}  # nodes as elements of the page instead of on the canvas
FRONTENDS: dict[str, tuple[tuple[str, ...], dict[str, bool]]] = {
    "own": (OWN, {}), "newer": (NEWER, {"Comfy.VueNodes.Enabled": False}), "newer, new nodes": (NEWER, NEW_NODES)}


@pytest.fixture(scope="session", params=["own", *(pytest.param(name, marks=pytest.mark.slow) for name in [*FRONTENDS][1:])])
def frontend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """The host with the miniature models, its settings in a scratch folder."""
    browser = find_browser()
    if isinstance(browser, str):
        pytest.skip(browser)
    options, settings = FRONTENDS[request.param]
    if options == NEWER and not NEWER_FRONTEND.is_dir():
        pytest.skip(f"there is no {NEWER_FRONTEND}; scripts/test.py fetches it")
    host = ensure()
    build_miniatures(host)
    folder = tmp_path_factory.mktemp("browser")
    (folder / "user").mkdir()
    arguments = ("--user-directory", str(folder / "user"), "--preview-method", "auto", *options)
    with Server(host, Launch(models=(MODELS,), output=folder / "output", arguments=arguments)) as server:
        yield Frontend(server.url, browser, folder, settings)
