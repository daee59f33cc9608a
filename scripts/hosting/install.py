"""Sets up what is missing: says first what that takes, then does it."""

from __future__ import annotations

import os

from .hosts import BASE, HOME, PACK_FOLDER, REPO, Host, has_pack, kept_host, own_host
from .kept import converter_step, kept_steps, kept_test_step, own_test_step
from .links import is_in_place, put_in_place, remove
from .locks import locked
from .steps import Step, announce, run_steps

LOCK = HOME / "setup.lock"
BASE_FOLDERS = ("custom_nodes", "models", "user", "input")


def ensure(torch_index: str = "") -> Host:
    """The ComfyUI to use, set up as far as it is not."""
    own = own_host()
    host = own or kept_host()
    set_up([converter_step(host)] if own else kept_steps(host, torch_index))
    _ensure_base(link=host.kept or not has_pack(host.source))
    return host


def ensure_for_tests(torch_index: str = "") -> Host:
    """The same with what the test suite needs."""
    own = own_host()
    host = own or kept_host()
    set_up([converter_step(host), own_test_step(host)] if own else [*kept_steps(host, torch_index), kept_test_step(host)])
    return ensure(torch_index)


def set_up(steps: list[Step]) -> None:
    """Do the steps that are not done, one command at a time."""
    if not all(step.is_done() for step in steps):
        announce(steps, HOME)
        with locked(LOCK):
            run_steps(steps)


def _ensure_base(link: bool) -> None:
    """The folders a host works in, with this pack as a custom node there where it is to be one."""
    entry = BASE / "custom_nodes" / PACK_FOLDER
    if all((BASE / name).is_dir() for name in BASE_FOLDERS) and _is_right(link):
        return
    with locked(LOCK):
        for name in BASE_FOLDERS:
            (BASE / name).mkdir(parents=True, exist_ok=True)
        if not link:
            remove(entry)
        elif not is_in_place(entry, REPO):
            put_in_place(entry, REPO)


def _is_right(link: bool) -> bool:
    entry = BASE / "custom_nodes" / PACK_FOLDER
    return is_in_place(entry, REPO) if link else not os.path.lexists(entry)
