"""Pickles that carry code, and archives that swell: none is opened, nothing runs, nothing large is allocated.

    python tests/attacks/pickles.py
"""

from __future__ import annotations

import builtins
import io
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch  # noqa: E402

from show1_core.weights import CheckpointError, read_pickle  # noqa: E402

MEGABYTES = 64
CANARY = "ran"
SWOLLEN = 512 * 2**20  # bytes that a bomb of half a megabyte unpacks to


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def calls(canary: Path) -> dict[str, Call]:
    """Ways to make a file by being unpickled."""
    make = f"open({str(canary)!r}, 'w')"
    return {
        "os.system": Call(os.system, f"touch {canary}"),
        "subprocess": Call(subprocess.Popen, ["touch", str(canary)]),
        "eval": Call(builtins.eval, make),
        "exec": Call(builtins.exec, make),
        "open": Call(open, str(canary), "w"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "torch.load": Call(torch.load, str(canary)),
    }


def torch_archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip as torch.save makes it around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as packed:
        packed.writestr("archive/data.pkl", content)
        packed.writestr("archive/version", "3\n")
    return buffer.getvalue()


def bombs() -> dict[str, bytes]:
    """Small files that become large ones."""
    sound = io.BytesIO()
    torch.save({"a": torch.zeros(SWOLLEN // 4)}, sound)
    squeezed = io.BytesIO()
    with zipfile.ZipFile(sound) as stored, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in stored.infolist():
            packed.writestr(entry.filename, stored.read(entry))
    return {
        "a pickle of zeros": torch_archive(b"\x00" * SWOLLEN, zipfile.ZIP_DEFLATED),
        "a sound checkpoint, compressed": squeezed.getvalue(),
        "bzip2": torch_archive(b"\x00" * SWOLLEN, zipfile.ZIP_BZIP2),
        "a zip in a zip": torch_archive(torch_archive(pickle.dumps({}))),
        "no archive": b"PK\x03\x04" + b"\xff" * 5000,
    }


def hostile(canary: Path) -> dict[str, bytes]:
    """Every file by what it is."""
    found = {}
    for name, call in calls(canary).items():
        for protocol in (0, 2, 4):
            content = pickle.dumps({"conv_in.weight": call}, protocol)
            found[f"{name}, protocol {protocol}"] = content
            found[f"{name}, protocol {protocol}, in an archive"] = torch_archive(content)
        found[f"{name} behind a sound pickle"] = pickle.dumps({"a": 1}) + pickle.dumps(call)
    return {**found, **bombs()}


def write(folder: Path) -> None:
    """All of them as numbered files, and their names."""
    files = hostile(folder / CANARY)
    for number, content in enumerate(files.values()):
        (folder / f"{number}.bin").write_bytes(content)
    (folder / "names").write_text("\n".join(files))


def attempt(file: Path) -> str | None:
    """What is wrong with how a file was met; None when it was refused in one line."""
    try:
        read_pickle(file)
    except CheckpointError as refusal:
        return None if "\n" not in str(refusal) and len(str(refusal)) < 500 else f"no sentence: {refusal}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def main() -> int:
    """Try them all."""
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # in a process of its own, for to make the bombs takes the memory that they must not
        subprocess.run([sys.executable, __file__, scratch], check=True)
        names = (folder / "names").read_text().split("\n")
        attempt(folder / "0.bin")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number, name in enumerate(names):
            wrong = attempt(folder / f"{number}.bin")
            if (folder / CANARY).exists():
                wrong = "it ran"
            if wrong:
                print(f"{name}: {wrong}")
                return 1
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{len(names)} files refused, none ran, memory +{grown} MB")
    return 0 if grown < MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
