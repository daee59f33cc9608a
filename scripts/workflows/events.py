"""What a ComfyUI server says about a prompt, and how to put it into words."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
TEXT, NODE_TEXT = 3, "progress_text"  # the kind of a binary message, and what its event is called here
ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Event:
    """One message of the server's about our prompt."""

    type: str
    data: Json


def text_on_node(message: bytes) -> Event | None:
    """The text that a binary message puts on a node, as an event; None for another kind, such as a preview."""
    kind, length = struct.unpack_from(">II", message)
    if kind != TEXT:
        return None
    node, text = message[8:8 + length], message[8 + length:]
    return Event(NODE_TEXT, {"node": node.decode(), "text": text.decode()})


def refusal(reply: Json) -> str:
    """The server's answer to a prompt it did not take, as one sentence."""
    reasons = [
        f"{node['class_type']} (node {node_id}): {_reason(error)}"
        for node_id, node in (reply.get("node_errors") or {}).items()
        for error in node["errors"]
    ]
    unique = list(dict.fromkeys(reasons))  # a custom check is reported once for each input it looks at
    return "; ".join(unique) or _reason(reply.get("error") or {"message": str(reply)})


def failure(event: Event) -> str:
    """What a node said when it failed; the type of error only where it is not a plain message."""
    kind = event.data["exception_type"]
    said = event.data["exception_message"].strip() or kind
    return said if kind in ("ValueError", "RuntimeError", "Exception") else f"{kind}: {said}"


def _reason(error: Json | str) -> str:
    """A custom check's sentence follows the input's name and says it all; elsewhere both parts are needed."""
    if isinstance(error, str):
        return error
    message, details = error.get("message", ""), error.get("details", "")
    if error.get("type") == "custom_validation_failed" and details:
        return details.removeprefix(f"{error['extra_info']['input_name']} - ")
    return f"{message} ({details})" if details else message
