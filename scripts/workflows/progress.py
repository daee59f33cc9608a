"""A prompt's progress at the terminal: one line a node, with its steps and a bar."""

from __future__ import annotations

import time
from typing import Any

from terminal import Line, bar

from .events import NODE_TEXT, Event


class Progress:
    """Turns the server's events into lines."""

    def __init__(self, titles: dict[str, str]) -> None:
        self._titles = titles
        self._line = Line()
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if event.type == "execution_cached":
            self._ended.update(event.data["nodes"])
        if event.type == "progress_state":
            for state in event.data["nodes"].values():
                self._show(state)

        if event.type == NODE_TEXT:
            self._line.end(f"         {event.data['text']}")

    def close(self) -> None:
        """Leave the line to others."""
        self._line.drop()

    def _show(self, state: dict[str, Any]) -> None:
        node_id = str(state.get("display_node_id") or state["node_id"])
        if state["node_id"] in self._ended:
            return
        began = self._started.setdefault(state["node_id"], time.monotonic())
        number = min(len(self._ended) + 1, len(self._titles))  # a node may expand into more than were counted
        title = f"{number:3}/{len(self._titles)}  {self._titles.get(node_id, node_id):36}"
        value, total = state["value"], state["max"]
        if state["state"] == "finished":
            self._ended.add(state["node_id"])
            self._line.end(f"{title} {bar(1, 1)}  {time.monotonic() - began:.1f} s")
        else:
            steps = f"  step {value:g}/{total:g}" if total > 1 else ""
            self._line.show(f"{title} {bar(value, total)}{steps}")
