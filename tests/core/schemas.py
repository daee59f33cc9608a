"""The nodes' schemas without a host, whose two modules are played by stand-ins.

Run as a command, it writes the English locale, which is made of the schemas' own words.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PACK = "show1_pack_for_its_words"


@dataclass(frozen=True)
class Socket:
    """An input or an output: its type, its id (inputs only), and the words beside it."""

    kind: str
    id: str
    words: dict[str, Any]


class Kind:
    """A type of the host, such as `io.Image`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def Input(self, id: str, **words: Any) -> Socket:  # noqa: A002 - the host's name
        return Socket(self.name, id, words)

    def Output(self, id: str = "", **words: Any) -> Socket:  # noqa: A002 - the host's name
        return Socket(self.name, id, words)


class StandInIo(SimpleNamespace):
    """`comfy_api.latest.io`, of which only the words are wanted."""

    ComfyNode = object
    Schema = SimpleNamespace
    NodeOutput = tuple
    Custom = Kind  # made of a name

    def __getattr__(self, name: str) -> Kind:
        return Kind(name)


class StandInLibrary:
    """Offers nothing."""

    def models(self) -> dict[str, Path]:
        return {}

    text_encoders = vaes = loras = models


class StandInHost(ModuleType):
    """`nodes/host`, which is all that touches the host itself."""

    SAMPLERS = SCHEDULERS = ["published"]
    DTYPES: dict[str, object] = {}
    Library = StandInLibrary

    def folders(self, kind: str) -> list[Path]:
        return []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Kind(name)


def schemas() -> dict[str, SimpleNamespace]:
    """The schema of every node by its id."""
    with stand_ins():
        nodes = load_pack()
        listing = nodes.Show1Extension.get_node_list(object())
        defined = [node.define_schema() for node in finished(listing)]
    return {schema.node_id: schema for schema in defined}


def load_pack() -> ModuleType:
    """The pack's nodes, in place of which there must be stand-ins for the host."""
    spec = importlib.util.spec_from_file_location(PACK, REPO / "__init__.py", submodule_search_locations=[str(REPO)])
    assert spec is not None
    sys.modules[PACK] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{PACK}.nodes")


def finished(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waits for something")


@contextmanager
def stand_ins() -> Iterator[None]:
    """The stand-ins in place of the host; afterwards no trace of them or of the pack."""
    latest = ModuleType("comfy_api.latest")
    latest.io, latest.ComfyExtension = StandInIo(), object  # type: ignore[attr-defined]
    before = dict(sys.modules)
    sys.modules |= {"comfy_api": ModuleType("comfy_api"), latest.__name__: latest, f"{PACK}.nodes.host": StandInHost("host")}
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith((PACK, "comfy_api"))]:
            del sys.modules[name]
        sys.modules |= {name: module for name, module in before.items() if name.startswith("comfy_api")}


def english() -> dict[str, Any]:
    """The schemas' own words in the form of `locales/en/nodeDefs.json`."""
    return {
        schema.node_id: {
            "display_name": schema.display_name,
            "description": schema.description,
            "inputs": {socket.id: words_of(socket) for socket in schema.inputs},
            "outputs": {str(index): words_of(socket) for index, socket in enumerate(schema.outputs)},
        }
        for schema in schemas().values()
    }


def words_of(socket: Socket) -> dict[str, str]:
    """What the host shows of an input or output: its name, else its id, else its type; and what is said about it."""
    name = {"name": socket.words.get("display_name") or socket.id or socket.kind.upper()}
    return name | {key: text for key, text in socket.words.items() if key == "tooltip"}


if __name__ == "__main__":  # after the words of a node were changed
    file = REPO / "locales" / "en" / "nodeDefs.json"
    file.write_text(json.dumps(english(), indent=2) + "\n", encoding="utf-8")
