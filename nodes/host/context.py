"""Windows of time that the host samples a long clip in."""

from __future__ import annotations

from typing import Any

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
