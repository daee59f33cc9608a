"""Workflows saved today load for ever: what nodes are called, take and give may grow at its ends, not change.

After a change that keeps this promise: `python tests/core/test_schema_snapshot.py` writes the snapshot anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from schemas import schemas

SNAPSHOT = Path(__file__).resolve().parents[1] / "data" / "schemas.json"


def described() -> dict[str, Any]:
    """Every node's inputs by name and order with type and limits, and its outputs by order."""
    def one(socket: Any) -> dict[str, Any]:
        limits = {name: value for name, value in socket.words.items() if name in ("default", "min", "max", "step", "optional")}
        return {"id": socket.id, "type": socket.kind, **limits}

    return {
        node_id: {"inputs": list(map(one, schema.inputs)), "outputs": [socket.kind for socket in schema.outputs]}
        for node_id, schema in schemas().items()}


@pytest.fixture(scope="module")
def saved() -> dict[str, Any]:
    return json.loads(SNAPSHOT.read_text())


def test_no_node_is_gone(saved: dict[str, Any]) -> None:
    assert saved.keys() <= described().keys()


def test_inputs_keep_their_places(saved: dict[str, Any]) -> None:
    """A saved workflow holds its values by position: new ones may only come behind, and must be optional."""
    for node_id, now in described().items():
        before = saved.get(node_id, now)["inputs"]
        names = [[(item["id"], item["type"]) for item in inputs] for inputs in (now["inputs"][:len(before)], before)]
        assert names[0] == names[1], node_id
        assert all(item.get("optional") for item in now["inputs"][len(before):]), node_id


def test_what_was_allowed_stays_allowed(saved: dict[str, Any]) -> None:
    for node_id, now in described().items():
        for before, after in zip(saved.get(node_id, now)["inputs"], now["inputs"], strict=False):
            assert after.get("min", 0) <= before.get("min", 0), (node_id, after["id"])
            assert after.get("max", 0) >= before.get("max", 0), (node_id, after["id"])
            assert after.get("optional", False) or not before.get("optional", False), (node_id, after["id"])


def test_outputs_keep_their_places(saved: dict[str, Any]) -> None:
    for node_id, now in described().items():
        before = saved.get(node_id, now)["outputs"]
        assert now["outputs"][:len(before)] == before, node_id


def test_the_snapshot_is_of_today(saved: dict[str, Any]) -> None:
    assert saved == json.loads(json.dumps(described())), f"look at the change, then run python {Path(__file__).name}"


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(), indent=1) + "\n")
