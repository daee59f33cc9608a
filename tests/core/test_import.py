"""What an import of the library needs, and does: torch alone, and nothing at all; what needs no torch loads none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ALONE = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None  # an import of it fails
sys.path.insert(0, {repo!r})
import os, socket, threading
before = (dict(os.environ), threading.active_count(), os.getcwd(), sys.path[:])
def refuse(*_, **__):
    raise AssertionError("the network was asked")
socket.socket.connect = refuse
import show1_core, show1_core.cascade, show1_core.kernels, show1_core.models.unet, show1_core.checkpoints, show1_core.library
assert (dict(os.environ), threading.active_count(), os.getcwd(), sys.path[:]) == before, "the import left something behind"
from show1_core.kernels import FUNCTIONS
assert all(function.backends[-1].name == "eager" for function in FUNCTIONS)
import torch
assert not torch.cuda.is_initialized()
print("imported")
"""


@pytest.mark.parametrize("blocked", [
    ("triton",), ("diffusers", "transformers"), ("comfy", "folder_paths", "nodes"), ("PIL",),
    ("triton", "diffusers", "transformers", "comfy", "PIL", "torchvision")])
def test_the_library_is_imported_without(blocked):
    done = subprocess.run([sys.executable, "-c", ALONE.format(blocked=blocked, repo=str(REPO))], capture_output=True, text=True)
    assert done.stdout.strip() == "imported", done.stderr[-2000:]


WITHOUT_TORCH = """
import sys
sys.path.insert(0, {repo!r})
import show1_core, show1_core.evaluation.prompts
packages = (show1_core, show1_core.evaluation)
assert all(set(package.__all__) <= set(dir(package)) for package in packages)
assert "torch" not in sys.modules, "what needs no torch loads it"
for package in packages:
    assert not hasattr(package, "nothing")
    assert all(getattr(package, name).__name__ == name for name in package.__all__)
print("torch" in sys.modules)
"""


def test_torch_is_loaded_with_the_first_name_that_needs_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH.format(repo=str(REPO))], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr[-2000:]
