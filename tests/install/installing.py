"""What installing the pack takes: the tools run away from the user's settings, a repository, a fresh host."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hosting.hosts import HOME

TIMEOUT = 180
# What may lie in a user's ComfyUI and is no part of its code.
DATA = ("models", "input", "output", "temp", "user", "custom_nodes", ".git", "venv", ".venv", "stamp", "__pycache__")


@dataclass(frozen=True)
class Tools:
    """The programs of the installation tools, and a home folder for comfy-cli to keep its settings in."""

    programs: Path
    home: Path

    def run(self, program: str, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
        """What a program says; it has to end well."""
        environment = self._environment() | variables
        found = shutil.which(program, path=environment["PATH"])
        assert found, f"{program} is not there"
        done = subprocess.run(
            [found, *arguments], cwd=cwd or self.home, env=environment, timeout=TIMEOUT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)}:\n{done.stdout[-5000:]}"
        return done.stdout

    def comfy(self, *arguments: str, cwd: Path | None = None) -> str:
        """What comfy-cli says; the user's settings of it do not count and stay as they are."""
        home = str(self.home)
        quiet = ("--skip-prompt", "--no-json", *arguments)
        return self.run("comfy", *quiet, cwd=cwd, HOME=home, USERPROFILE=home, XDG_CONFIG_HOME=f"{home}/.config")

    def script(self, file: Path, *arguments: str) -> str:
        """What a script says on stdout when it is run by the tools' Python."""
        command = [str(self.programs / "python"), str(file), *arguments]
        done = subprocess.run(command, env=self._environment(), timeout=TIMEOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-5000:]
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """The caller's, but for his settings of git."""
        paths = os.pathsep.join([str(self.programs), os.environ.get("PATH", os.defpath)])
        own = {"PATH": paths, "PYTHONPYCACHEPREFIX": str(HOME / "pycache"), "NO_COLOR": "1", "COLUMNS": "200"}
        git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        return os.environ | own | git


def make_repository(tools: Tools, tree: Path, folder: Path) -> Path:
    """One commit of what git tracks of a folder, as it stands there, ready to be served as plain files.

    The folder's own repository is not touched; one without a repository counts whole, but for what it ignores.
    """
    git = ("--git-dir", str(folder), "--work-tree", str(tree))
    author = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "core.autocrlf=false")
    tools.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder))
    chosen = ["--all"]
    if (tree / ".git").exists():
        names = folder / "names"
        names.write_text("\0".join(tracked(tools, tree)), encoding="utf-8")
        chosen = ["--force", "--pathspec-file-nul", f"--pathspec-from-file={names}"]
    tools.run("git", *git, *author, "add", *chosen, cwd=tree, GIT_LITERAL_PATHSPECS="1")
    tools.run("git", *git, *author, "commit", "--quiet", "--message", "The pack")
    tools.run("git", "--git-dir", str(folder), "repack", "-a", "-d", "--quiet")  # one file to fetch, not hundreds
    tools.run("git", "--git-dir", str(folder), "update-server-info")
    return folder


def tracked(tools: Tools, tree: Path) -> list[str]:
    """The files of a checkout, whoever owns it; those that are deleted but still tracked are left out."""
    names = tools.run("git", "-c", "safe.directory=*", "-C", str(tree), "ls-files", "-z").split("\0")
    return [name for name in names if name and (tree / name).is_file()]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which the files of a folder can be had while the block lasts."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def copy_host(source: Path, target: Path) -> Path:
    """The code of a ComfyUI with empty folders for everything else."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        return set(DATA) & set(names) if Path(folder) == source else set()

    shutil.copytree(source, target, ignore=left_out)
    (target / "custom_nodes").mkdir()
    return target
