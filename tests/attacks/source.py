"""Searches the shipped code for what could run a file's or a user's text, or reach the network when it is imported.

    python tests/attacks/source.py [FOLDER]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SHIPPED = ("__init__.py", "nodes", "show1_core", "scripts")
# Calls by their full names, as the file imports them.
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "marshal.loads", "shelve.open", "dill.load", "joblib.load", "numpy.load", "yaml.load",
}
NETWORK = {"socket", "urllib", "http", "requests", "aiohttp", "ftplib", "huggingface_hub", "urllib3", "httpx", "websockets"}
HARMLESS = {"urllib.parse"}
QUIET = ("__init__.py", "nodes", "show1_core")  # what a host imports: no network in it at all


def files(root: Path) -> list[Path]:
    """The Python files that users get."""
    found = [root / name for name in SHIPPED]
    return [file for entry in found for file in (sorted(entry.rglob("*.py")) if entry.is_dir() else [entry])]


def findings(file: Path, quiet: bool) -> Iterator[tuple[int, str]]:
    """Line and finding; `quiet` files may not import what reaches the network, not even inside a function."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = full_name(node.func, names)
            if called in FORBIDDEN:
                yield node.lineno, f"calls {called}"
            if called == "torch.load" and not is_set(node, "weights_only", True):
                yield node.lineno, "calls torch.load without weights_only=True"
            if any(word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                   for word in node.keywords):
                yield node.lineno, "hands a shell a command"
        if quiet and isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.split(".")[0] in NETWORK and module not in HARMLESS and not getattr(node, "level", 0):
                    yield node.lineno, f"imports {module}"


def imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                      for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def full_name(function: ast.expr, names: dict[str, str]) -> str:
    """A called function's dotted name, from the root of what was imported; empty for anything else."""
    if isinstance(function, ast.Name):
        return names.get(function.id, function.id)
    if isinstance(function, ast.Attribute):
        owner = full_name(function.value, names)
        return f"{owner}.{function.attr}" if owner else ""
    return ""


def is_set(call: ast.Call, name: str, value: object) -> bool:
    """Whether a keyword of a call is this constant."""
    return any(word.arg == name and isinstance(word.value, ast.Constant) and word.value.value is value for word in call.keywords)


def main(root: Path) -> int:
    """Print every finding; 1 when there is one."""
    found = [
        f"{file.relative_to(root)}:{line}: {what}"
        for file in files(root)
        for line, what in findings(file, quiet=file.relative_to(root).parts[0] in QUIET)
    ]
    print("\n".join(found) or f"{len(files(root))} files, nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPO))
