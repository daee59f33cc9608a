"""Windows of time that the host samples a long clip in."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

from torch import Tensor

from ...show1_core.cascade import ContextWindow

HANDLER = "context_handler"  # among a MODEL's options: what the core's Context Windows leave there
FRAMES = 2  # the dimension of time in (B, C, F, H, W)
OTHER_DIMENSION = ("Context Windows do nothing for this model while dim is {dim}, which counts no frames; set dim to 2.")


def context_window(model: Any) -> ContextWindow | None:
    """The windows of time of a MODEL; None when it is sampled whole."""
    handler = model.model_options.get(HANDLER)
    if handler is None or handler.dim != FRAMES:
        return None
    return ContextWindow(handler.context_length, handler.context_overlap)


def idle_windows(options: dict[str, Any]) -> str | None:
    """A sentence when a MODEL's options hold windows of something else than time."""
    handler = options.get(HANDLER)
    return None if handler is None or handler.dim == FRAMES else OTHER_DIMENSION.format(dim=handler.dim)


def window_all_clips(options: dict[str, Any], clips: int) -> None:
    """Let the windows of time among a run's options be those of several clips, for which the host's handler makes no room."""
    handler = options.get(HANDLER)
    if clips > 1 and handler is not None and handler.dim == FRAMES:
        options[HANDLER] = copy(handler)  # the user's own is left alone
        options[HANDLER].execute = partial(at_one_time, handler.execute)


def at_one_time(execute: Callable[..., Any], calls: Callable[..., Any], model: Any, conds: Any, x: Tensor, time: Tensor,
                options: dict[str, Any]) -> Any:
    """A step of the handler's, told the time (B,) of all clips as one, (1,); its calls of the network get it for each again."""
    def call(model: Any, conds: Any, x: Tensor, time: Tensor, options: dict[str, Any]) -> Any:
        return calls(model, conds, x, time.expand(len(x)), options)

    return execute(call, model, conds, x, time[:1], options)
