"""The whole of the tests is run in two halves: none is left out, and one that fails fails the run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

from testing.halves import ON_A_HOST, OTHERS, run_in_halves  # noqa: E402


def test_every_folder_of_tests_is_in_one_half():
    folders = {file.parent.relative_to(REPO).as_posix() for file in REPO.glob("tests/*/test_*.py")}
    assert sorted(folders) == sorted((*ON_A_HOST, *OTHERS))


@pytest.mark.parametrize("on_a_host, others, code", [(0, 0, 0), (1, 0, 1), (0, 1, 1), (5, 0, 0), (0, 5, 0), (5, 5, 5), (0, 2, 2)])
def test_one_half_that_fails_fails_the_run(on_a_host, others, code, capfdbinary):
    ends = f"import sys; first = {ON_A_HOST[0]!r} in sys.argv; print('host' if first else 'others', flush=True); " \
           f"sys.exit({on_a_host} if first else {others})"
    assert run_in_halves([sys.executable, "-c", ends], dict(os.environ)) == code
    assert capfdbinary.readouterr().out.split() == [b"host", b"others"]
