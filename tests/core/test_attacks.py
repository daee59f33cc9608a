"""Hostile files and the shipped source, by the programs of tests/attacks, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from show1_core import CheckpointError, read_checkpoint
from show1_core.library import part_names, unet_names
from show1_core.weights import read_tensors

ATTACKS = Path(__file__).resolve().parents[1] / "attacks"


def run(program, *arguments):
    """A program's last line; it has to end well within two minutes."""
    done = subprocess.run([sys.executable, "-W", "ignore", str(ATTACKS / f"{program}.py"), *arguments],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def module(name):
    spec = importlib.util.spec_from_file_location(f"attack_{name}", ATTACKS / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.slow
def test_ten_thousand_headers_are_read_or_refused():
    said = run("headers", "--count", "10000")
    print(said)
    assert "'refused'" in said and "'read'" in said, "all of one kind: the attack says nothing"


@pytest.mark.slow
def test_pickles_run_nothing_and_archives_do_not_swell():
    print(run("pickles"))


def test_the_source_has_nothing_that_runs_text():
    print(run("source"))


@pytest.mark.parametrize("line, found", [
    ("eval('1')", "calls eval"),
    ("import os\nos.system('x')", "calls os.system"),
    ("from os import system as s\ns('x')", "calls os.system"),
    ("import pickle as p\np.load(None)", "calls pickle.load"),
    ("import torch\ntorch.load('x')", "without weights_only"),
    ("import torch\ntorch.load('x', weights_only=False)", "without weights_only"),
    ("import subprocess\nsubprocess.run('x', shell=True)", "a shell"),
    ("def late():\n    import urllib.request", "imports urllib.request"),
    ("import torch\ntorch.load('x', weights_only=True)\nfrom urllib.parse import quote\nmodel.eval()", None),
])
def test_the_search_finds_what_it_looks_for(tmp_path, line, found):
    file = tmp_path / "some.py"
    file.write_text(line)
    said = [what for _, what in module("source").findings(file, quiet=True)]
    assert said == [] if found is None else found in said[0]


@pytest.mark.parametrize("part", range(1, 64))
def test_a_file_cut_at_every_sixty_fourth_is_refused(whole, tmp_path, part):
    for file in whole:
        data = file.read_bytes()
        cut = tmp_path / file.name
        cut.write_bytes(data[: len(data) * part // 64])
        with pytest.raises(CheckpointError) as refused:
            read_tensors([cut])
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small state dict in both formats."""
    import torch
    from safetensors.torch import save_file

    folder, tensors = tmp_path_factory.mktemp("whole"), {str(index): torch.randn(8, 8) for index in range(9)}
    save_file(tensors, folder / "small.safetensors")
    torch.save(tensors, folder / "small.bin")
    return [folder / "small.safetensors", folder / "small.bin"]


@pytest.mark.parametrize("lie", ["folder", "loop", "fifo"])
def test_what_is_no_file_is_refused(tmp_path, lie):
    place = tmp_path / "odd.safetensors"
    if lie == "folder":
        place.mkdir()
    elif lie == "loop":
        place.symlink_to(place)
    else:
        os.mkfifo(place)
    with pytest.raises(CheckpointError):
        read_checkpoint(place)
    assert not unet_names([tmp_path])


HOSTILE_NAMES = ["../secret", "/etc/passwd", "~/secret", "a\x00b", "C:\\con", "\\\\server\\share", "show-1-base/../../secret",
                 "show-1-base/..", ".", "", "NUL", "show-1-base\n", "SHOW-1-BASE ", "\u202eesab", "x" * 5000]


def test_a_listing_holds_what_lies_below_its_root_and_nothing_else(tmp_path):
    root, secret = tmp_path / "models", tmp_path / "secret"
    for place in (root / "good", root / ".part", secret, root / "deep" / "er" / "and" / "deeper"):
        folder = place / "unet"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (root / "huge.safetensors").write_bytes(struct.pack("<Q", 2**60))
    names = {**unet_names([root]), **part_names([root], "unet")}
    assert set(names) == {"good", "good/unet"}
    assert not set(HOSTILE_NAMES) & set(names)
