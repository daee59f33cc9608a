"""What a file is known by. The standard library alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK = 2**20  # bytes read at once


def sha256_of(*files: Path) -> str:
    """The SHA-256 of a file of any size, or of several one behind the other, in hexadecimal."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                found.update(chunk)
    return found.hexdigest()
