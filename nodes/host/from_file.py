"""A MODEL from its file, and with it the way to make it once more, for which newer hosts ask (comfyui 4h)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...show1_core.checkpoints import read_checkpoint
from .model import compile_blocks, load_model, try_ways


def load_from_file(path: Path, dtype: str, kernels: str = "auto", compile: str = "off", disable_dynamic: bool = False) -> Any:
    """The MODEL of a published folder or a single file; the words are those of Show-1 Model Loader.

    `disable_dynamic`, by the host's name for it: with its plain patcher. Raises CheckpointError.
    """
    loaded = load_model(read_checkpoint(path), dtype, kernels, dynamic=not disable_dynamic)
    if compile == "blocks":
        compile_blocks(loaded)
    elif compile == "auto":
        try_ways(loaded)
    if hasattr(loaded, "cached_patcher_init"):  # a host that makes second models: of the same file, with other weights in memory
        loaded.cached_patcher_init = (load_from_file, (path, dtype, kernels, compile))
    return loaded
