"""Workflows as the server takes them: from UI or API format, with inputs set from the command line."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosting.hosts import TOOLS
from terminal import Failure

Json = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """One NODE.input=VALUE of the command line, its target not yet split at a dot."""

    target: str
    value: str


def parse_setting(text: str) -> Setting:
    """Take `NODE.input=VALUE` apart; a value may hold further equals signs."""
    target, equals, value = text.partition("=")
    if not equals or "." not in target.strip("."):
        raise Failure(f"--set takes NODE.input=VALUE (such as 3.seed=7), not {text!r}.")
    return Setting(target.strip(), value)


def load(path: Path) -> Json:
    """Read a workflow file in either format."""
    try:
        workflow = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Failure(f"there is no workflow file {path}.") from error
    except ValueError as error:
        raise Failure(f"{path} is not a workflow: it is not JSON ({error}).") from error
    if not isinstance(workflow, dict) or not (is_ui(workflow) or is_api(workflow)):
        raise Failure(f"{path} is not a workflow: ComfyUI's Save and Export (API) write other files.")
    return workflow


def is_ui(workflow: Json) -> bool:
    """The format of Save: a list of nodes with positions and widgets."""
    return isinstance(workflow.get("nodes"), list)


def is_api(workflow: Json) -> bool:
    """The format of Export (API): node ids, each with a class and its inputs."""
    nodes = workflow.values()
    return bool(nodes) and all(isinstance(node, dict) and "class_type" in node for node in nodes)


def to_api(workflow: Json, object_info: Json) -> Json:
    """The prompt to queue; a UI workflow is converted as the frontend would."""
    if not is_ui(workflow):
        return workflow
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))  # last: nothing of the host's is shadowed
    converter = importlib.import_module("comfy_cli.workflow_to_api")
    try:
        return converter.convert_ui_to_api(workflow, object_info)
    except converter.WorkflowConversionError as error:
        raise Failure(f"the workflow cannot be converted for the server: {error}") from error


def title_of(node: Json, object_info: Json) -> str:
    """What a user calls the node: its own title, else its type's display name."""
    known = object_info.get(node["class_type"], {}).get("display_name")
    return node.get("_meta", {}).get("title") or known or node["class_type"]


def apply(settings: list[Setting], prompt: Json, object_info: Json) -> None:
    """Set inputs of the prompt in place."""
    for setting in settings:
        for node_id, name in _targets(setting.target, prompt, object_info):
            inputs = prompt[node_id]["inputs"]
            inputs[name] = _value(setting.value, inputs.get(name))


def _targets(target: str, prompt: Json, object_info: Json) -> list[tuple[str, str]]:
    """The inputs a target names: one, or with `*` that of every node which has it."""
    if target.startswith("*."):
        name = target[2:]
        found = [(node_id, name) for node_id, node in prompt.items() if name in node["inputs"]]
        if not found:
            raise Failure(f"--set {target}: no node of the workflow has an input {name!r}.")
        return found
    node_id, name = _find(target, prompt)
    known = _input_names(prompt[node_id], object_info)
    if name not in known:
        raise Failure(
            f"--set {target}: {prompt[node_id]['class_type']} (node {node_id}) has no input {name!r}; "
            f"it has {', '.join(sorted(known))}."
        )
    return [(node_id, name)]


def _value(text: str, before: Any) -> Any:
    """JSON where it is JSON; but an input that holds text keeps getting text (a prompt may be `42`)."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(before, str) and not isinstance(value, str) else value


def _find(target: str, prompt: Json) -> tuple[str, str]:
    """The node id and the input's name; titles and names may hold dots, so every split is tried."""
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        named, name = ".".join(parts[:cut]), ".".join(parts[cut:])
        found = _named(named, prompt)
        if len(found) > 1:
            raise Failure(
                f"--set {target}: {named} could be any of {_listed(found, prompt)}; name it by its id."
            )
        if found:
            return found[0], name
    listed = _listed(list(prompt), prompt)
    raise Failure(f"--set {target}: no node has this id, title or type; the workflow has {listed}.")


def _named(name: str, prompt: Json) -> list[str]:
    """The nodes of this id, else of this title, else of this type."""
    if name in prompt:
        return [name]
    titled = [node_id for node_id, node in prompt.items() if node.get("_meta", {}).get("title") == name]
    return titled or [node_id for node_id, node in prompt.items() if node["class_type"] == name]


def _listed(node_ids: list[str], prompt: Json) -> str:
    titles = {node_id: prompt[node_id].get("_meta", {}).get("title", "") for node_id in node_ids}
    return ", ".join(
        f"{node_id} ({prompt[node_id]['class_type']}{', ' + repr(title) if title else ''})"
        for node_id, title in titles.items()
    )


def _input_names(node: Json, object_info: Json) -> set[str]:
    declared = object_info.get(node["class_type"], {}).get("input", {})
    return set(node["inputs"]) | set(declared.get("required", {})) | set(declared.get("optional", {}))
