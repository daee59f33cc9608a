"""Sentences on the node that is being run, in the host's page, until a run that has none to say."""

from __future__ import annotations

import html
from collections.abc import Collection

from comfy_execution.utils import get_executing_context

NOTHING = "Show-1: nothing to warn of in the last run."


class Warned:
    """The nodes on which sentences stand that runs of one model have said."""

    def __init__(self) -> None:
        self.nodes: set[str] = set()

    def settle(self, told: Collection[str]) -> None:
        """After a run: a node that has nothing to say any more says so."""
        context = get_executing_context()
        if context is None:
            return
        if told:
            self.nodes.add(context.node_id)
        elif context.node_id in self.nodes:
            self.nodes.remove(context.node_id)
            on_node([NOTHING])


def on_node(sentences: Collection[str]) -> None:
    """Write sentences on the node that is being run, in place of those before; outside of a run nothing happens."""
    context = get_executing_context()
    if context is None:
        return
    from server import PromptServer  # where nothing runs there may be none

    server = PromptServer.instance
    server.send_progress_text(html.escape("\n".join(sentences), quote=False), context.node_id, sid=server.client_id)
