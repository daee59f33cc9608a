"""What the commands need that work on checkpoints: this pack's library, and the packages it stands on."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from .commands import Failure

REPO = Path(__file__).resolve().parents[2]


def use_library(*packages: str) -> None:
    """Make `show1_core` importable. Raises Failure when this Python lacks one of the packages."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise Failure(f"{sys.executable} has no {', '.join(missing)}; use the Python that runs ComfyUI, which does.")
    if str(REPO) not in sys.path:
        sys.path.append(str(REPO))  # last: the pack's nodes/ must shadow nobody's
