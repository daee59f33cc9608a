"""Run all tests: sets up what is missing, then hands over to pytest with the arguments given."""

from __future__ import annotations

import os

from browser_setup import ensure_browser
from host_install import ensure
from hosts import REPO, TEST_TOOLS, become, environment
from terminal import guarded


def main(arguments: list[str]) -> int:
    """The command line."""
    host = ensure(tests=True)
    ensure_browser(host)
    variables = environment(host)
    if not host.kept:  # pytest lies beside the user's packages, not among them
        paths = [str(TEST_TOOLS), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    os.chdir(REPO)
    become([str(host.python), "-m", "pytest", *arguments], variables)


if __name__ == "__main__":
    guarded(main)
