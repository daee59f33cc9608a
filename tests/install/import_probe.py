"""Imports a pack inside a host, as the host does, and prints what that cost: `import_probe.py SOURCE PACK`.

Everything the host brings is imported before the clock starts, and sockets are refused from then on.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import runpy
import sys
import time
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

NAME = "probed_pack"
# A busy machine makes any one slow. Modules from elsewhere would cost the first alone; they are listed instead.
ROUNDS = 5
# About as many as the pack has: half of what its import takes is Python writing their methods.
YARDSTICK_CLASSES = 50


def main(source: str, pack: Path) -> dict[str, Any]:
    """Seconds of CPU time by step (the best of some), the whole in yardsticks, the node ids, the modules that came along."""
    operators = prepare_host(source)
    host = set(sys.modules)
    sockets: list[str] = []
    sys.addaudithook(lambda event, args: refuse(event, sockets) if event.startswith("socket.") else None)
    rounds = [measure(pack) for _ in range(ROUNDS)]
    del operators
    return {
        "init": min(init for init, _, _, _ in rounds),
        "whole": min(whole for _, whole, _, _ in rounds),
        "yardsticks": min(whole / yardstick for _, whole, yardstick, _ in rounds),
        "nodes": rounds[0][3],
        "modules": sorted(name for name in set(sys.modules) - host if name.split(".")[0] != NAME),
        "sockets": sockets,
    }


def measure(pack: Path) -> tuple[float, float, float, list[str]]:
    """Import the pack anew: seconds for its `__init__.py`, until its nodes are known, of the yardstick; the nodes' ids."""
    for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
        del sys.modules[name]
    start = time.process_time()
    module = load(pack)
    imported = time.process_time()
    node_ids = asyncio.run(list_nodes(module))
    known = time.process_time()
    make_yardstick()
    return imported - start, known - start, time.process_time() - known, node_ids


def make_yardstick() -> None:
    """What an import is made of and no change of the pack makes dearer: says how fast this machine is just now."""
    for _ in range(YARDSTICK_CLASSES):
        make_dataclass("Yardstick", ["a", "b", "c", "d"], frozen=True)


def prepare_host(source: str) -> object:
    """Import what a running host has in memory before it comes to the packs."""
    launcher = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "hosting" / "launcher.py"))
    operators = launcher["torchvision_operators"]()
    sys.path[0] = source
    sys.argv = ["main.py", "--cpu"]
    import comfy.options

    comfy.options.enable_args_parsing()
    importlib.import_module("utils.install_util")  # first: nodes.py puts comfy/, which has another utils, on the path
    nodes = importlib.import_module("nodes")
    importlib.import_module("server")
    asyncio.run(nodes.init_extra_nodes(init_custom_nodes=False, init_api_nodes=False))
    return operators


def load(pack: Path) -> ModuleType:
    """The pack's `__init__.py` as a module, by its path."""
    spec = importlib.util.spec_from_file_location(NAME, pack / "__init__.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


async def list_nodes(module: ModuleType) -> list[str]:
    """What the host does next: the entry point, the node list, each node's schema."""
    extension = await module.comfy_entrypoint()
    return [node.GET_SCHEMA().node_id for node in await extension.get_node_list()]


def refuse(event: str, sockets: list[str]) -> NoReturn | None:
    """Note any use of a socket; one that would leave this machine is refused."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
        sockets.append(event)
        raise OSError(f"{event} while a node pack was imported")
    return None


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
