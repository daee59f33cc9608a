"""Run the tests: `test.py [--all] [--with-browser] [pytest arguments]`. Sets up what is missing.

Two sizes: without --all those that touch everything once, in some minutes; with --all every test there is, about half an
hour on two cores. Both go as two runs side by side (testing/halves.py) unless you name files. Left out of the first are the tests
marked `slow`, of the second those marked `quick`, which a slow one holds too; an -m of your own decides in its place.

Browser tests need Chromium and Node.js. Where Chromium is missing they are skipped, unless --with-browser allows to
install it with the system's package manager: the only thing that is ever installed outside of .comfyui/.

--matrix runs a part of the tests once more with the oldest and the newest versions that are promised (testing/matrix.py).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hosting.hosts import REPO, TEST_TOOLS, Host, environment
from hosting.install import ensure_for_tests
from hosting.processes import become
from hosting.torch_build import add_torch_index
from terminal import guarded
from testing.browser import ensure_browser
from testing.halves import run_in_halves
from testing.matrix import run_matrix

QUICK, ALL = ["-m", "not slow"], ["-m", "not quick"]


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen, rest = _parser().parse_known_args(arguments)
    if chosen.matrix:
        return run_matrix(rest)
    host = ensure_for_tests(chosen.torch_index)
    ensure_browser(host, chosen.with_browser)
    os.chdir(REPO)
    size = [] if "-m" in rest else ALL if chosen.all else QUICK
    command = [str(host.python), "-m", "pytest", *size, *rest]
    if not any(Path(argument.split("::")[0]).exists() for argument in rest):
        return run_in_halves(command, _variables(host))
    become(command, _variables(host))


def _variables(host: Host) -> dict[str, str]:
    """In a ComfyUI of the user's own, pytest lies beside his packages, not among them."""
    variables = environment(host)
    if not host.kept:
        variables["PYTHONPATH"] = os.pathsep.join([str(TEST_TOOLS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return variables


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help="every test, not only the quick ones")
    parser.add_argument("--with-browser", action="store_true", help="install Chromium on this machine if it is not there")
    parser.add_argument("--matrix", action="store_true", help="the oldest and the newest versions of what the pack stands on")
    add_torch_index(parser)
    return parser


if __name__ == "__main__":
    guarded(main)
