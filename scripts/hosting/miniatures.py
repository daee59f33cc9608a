"""The untrained miniature checkpoints that the tests run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

from terminal import Failure, say

from .hosts import HOME, MODELS, REPO, Host, environment
from .locks import locked

BUILDER = REPO / "scripts" / "miniature.py"
RECIPES = REPO / "tests" / "data" / "golden"


def build_miniatures(host: Host) -> None:
    """Write them to .comfyui/models, unless these very ones are there."""
    inputs = [BUILDER, *sorted(RECIPES.rglob("*.json")), *sorted(RECIPES.rglob("*.tsv"))]
    fingerprint = hashlib.sha256(b"".join(file.read_bytes() for file in inputs)).hexdigest()
    with locked(HOME / "models.lock"):
        stamp = MODELS / "stamp"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != fingerprint:
            say("building the miniature models ...")
            _build(host, fingerprint)


def _build(host: Host, fingerprint: str) -> None:
    part = MODELS.with_name(MODELS.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    command = [str(host.python), str(BUILDER), str(part / "show1")]
    built = subprocess.run(command, env=environment(host), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode:
        said = built.stdout.decode(errors="replace")[-2000:]
        raise Failure(f"the miniature models could not be built:\n{said}")
    (part / "stamp").write_text(fingerprint, encoding="utf-8")
    shutil.rmtree(MODELS, ignore_errors=True)
    part.rename(MODELS)
