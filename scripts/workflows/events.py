"""What a ComfyUI server says about a prompt, and how to put it into words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Event:
    """One message of the server's about our prompt."""

    type: str
    data: Json


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
