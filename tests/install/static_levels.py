"""Runs the static levels of comfy-test on a pack and prints what each says as JSON: `static_levels.py PACK SCRATCH`.

The program of the same name has no command for two of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from comfy_test.common.config import TestConfig
from comfy_test.common.errors import TestError
from comfy_test.orchestration import levels
from comfy_test.orchestration.context import LevelContext

LEVELS = {"syntax": levels.run_syntax, "warnings": levels.run_warnings, "hazards": levels.run_hazards}


def main(pack: Path, scratch: Path) -> dict[str, dict[str, str]]:
    """By level: the error it ends with, empty when it passes, and everything it says."""
    found = {}
    for name, run in LEVELS.items():
        said: list[str] = []
        context = LevelContext(
            config=TestConfig(name=pack.name), node_dir=pack, platform_name="lint", log=said.append, output_base=scratch
        )
        error = ""
        try:
            run(context)
        except TestError as failed:
            error = f"{failed.message}\n{failed.details}"
        found[name] = {"error": error, "said": "\n".join(said)}
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
