"""Core nodes' patches of a MODEL that do nothing for ours, told to the user."""

from __future__ import annotations

import logging
from typing import Any

WHOLE_COMPILED = "torch_compile_kwargs"  # among the model's options


def warn_of_idle_patches(model: Any) -> None:
    """A line in the log for what was put on a MODEL in vain."""
    if WHOLE_COMPILED in model.model_options:
        logging.warning("Show-1: TorchCompileModel does nothing for this model, whose steps look at numbers between its blocks; "
                        "set compile to blocks in Show-1 Model Loader instead.")
