"""The pack installed as a user would: by ComfyUI-Manager from a repository, and from the registry's archive."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# Last on the path: scripts/comfy.py must not stand before the host's own package of that name.
sys.path += [str(REPO / "scripts"), str(REPO / "tests" / "host"), str(Path(__file__).parent)]

from hosting.hosts import HOME, MODELS, PACK_FOLDER, Host  # noqa: E402
from hosting.install import ensure  # noqa: E402
from hosting.miniatures import build_miniatures  # noqa: E402
from hosting.server import Launch, Server  # noqa: E402
from installing import Tools, copy_host, make_repository, served  # noqa: E402
from testing.install_tools import ensure_install_tools  # noqa: E402

SKIP = "SHOW1_SKIP_INSTALL_TESTS"


@pytest.fixture(scope="session")
def host() -> Host:
    """The ComfyUI of the tests, with the miniature models built for it."""
    chosen = ensure()
    build_miniatures(chosen)
    return chosen


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Manager, comfy-cli, comfy-test, ruff and vermin."""
    if os.environ.get(SKIP) == "1":
        pytest.skip(f"{SKIP} is 1; without it ComfyUI-Manager and comfy-cli are set up (600 MB)")
    if not shutil.which("git"):
        pytest.skip("there is no git on this machine")
    return Tools(ensure_install_tools(), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def repository(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository whose one commit is what git tracks of the pack, as it stands."""
    return make_repository(tools, REPO, tmp_path_factory.mktemp("served") / f"{PACK_FOLDER}.git")


@pytest.fixture(scope="session")
def clone(tools: Tools, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack as its developers check it out."""
    folder = tmp_path_factory.mktemp("clone") / PACK_FOLDER
    tools.run("git", "clone", "--quiet", str(repository), str(folder))
    return folder


@pytest.fixture(scope="session")
def archive(tools: Tools, clone: Path) -> Path:
    """The zip file that the registry would hand out."""
    tools.comfy("tracking", "disable")  # else it asks first
    tools.comfy("node", "pack", cwd=clone)
    return clone / "node.zip"


@pytest.fixture(scope="session")
def managed(tools: Tools, host: Host, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh host into which Manager has installed the pack."""
    fresh = copy_host(host.source, tmp_path_factory.mktemp("managed") / "ComfyUI")
    with served(repository.parent) as url:
        install = ("install", f"{url}/{repository.name}", "--mode", "local", "--channel", "default")
        said = tools.run("cm-cli", *install, COMFYUI_PATH=str(fresh))
    assert "[INSTALLED]" in said, said
    return fresh


@pytest.fixture(scope="session")
def unpacked(host: Host, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a fresh host with the archive unpacked in custom_nodes."""
    base = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(base / "custom_nodes" / PACK_FOLDER)
    return base


@pytest.fixture(scope="session", params=["managed", "unpacked"])
def server(
    request: pytest.FixtureRequest, host: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The host with nothing but this installation of the pack.

    It is the host's own code that is started, not the copy: that one is compiled already.
    """
    base: Path = request.getfixturevalue(request.param)
    for name in ("models", "user", "input"):
        (base / name).mkdir(exist_ok=True)
    folders = ("--base-directory", str(base), "--user-directory", str(base / "user"))
    arguments = (*folders, "--input-directory", str(base / "input"))
    launch = Launch(models=(MODELS,), output=tmp_path_factory.mktemp("output"), arguments=arguments)
    with Server(Host(host.source, host.python, kept=True), launch) as running:
        yield running
    shutil.rmtree(HOME / "pycache" / base.relative_to(base.anchor), ignore_errors=True)
