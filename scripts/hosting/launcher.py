"""Starts a ComfyUI inside its own Python: `launcher.py SCRATCH SOURCE [host arguments]`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading

import psutil

_ASK_DEVICE = "import torch; print(getattr(torch, 'accelerator', torch.cuda).is_available())"


def main(arguments: list[str]) -> None:
    """Become the host."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scratch")
    parser.add_argument("source")
    chosen, rest = parser.parse_known_args(arguments)
    watch_parent(chosen.scratch)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits it as ignored
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, signal.default_int_handler)  # what asks it to end there
    sys.path[0] = chosen.source
    operators = torchvision_operators() if is_cpu_build("torch") else None
    if not has_accelerator():
        rest.append("--cpu")
    sys.argv = [os.path.join(chosen.source, "main.py"), *rest]
    runpy.run_path(sys.argv[0], run_name="__main__")
    del operators


def watch_parent(scratch: str) -> None:
    """End with the parent: it holds the other end of stdin, which closes when it dies in whatever way."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_end_with, args=(pipe, scratch), daemon=True).start()


def _end_with(pipe: int, scratch: str) -> None:
    while os.read(pipe, 1024):
        pass
    shutil.rmtree(scratch, ignore_errors=True)  # nobody else is left to do it
    for started in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
            started.kill()
    os._exit(1)


def is_cpu_build(distribution: str) -> bool:
    """Whether an installed package is marked as a build for CPUs only."""
    return "+cpu" in importlib.metadata.version(distribution)


def has_accelerator() -> bool:
    """Whether torch finds a device; asked in another process, for the host wants to import torch itself."""
    if is_cpu_build("torch"):
        return False
    return subprocess.check_output([sys.executable, "-c", _ASK_DEVICE], text=True).strip() == "True"


def torchvision_operators() -> object:
    """Declare torchvision's operators where its compiled half does not fit a CPU build of torch.

    Its Python half, which is all the host uses, registers shapes for these two at import and fails
    without them. The declaration lasts as long as the object that is given back.
    """
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
