"""Damaged and hostile safetensors headers: each is read, or refused in one line, at once and in little memory.

    python tests/attacks/headers.py [--count 10000] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from show1_core.checkpoints import CheckpointError, read_single  # noqa: E402
from show1_core.library import is_converted  # noqa: E402

SECONDS, MEGABYTES = 1.0, 64
DATA = bytes(range(256)) * 2
LENGTHS = (0, 1, 7, 8, 100, 2**16, 2**31, 2**32, 2**53, 2**63, 2**64 - 1)
SHAPES = ([], [0], [-1], [2**31], [2**62, 2**62], [1] * 2000, ["4"], None, [4.5], [True], {"0": 4})
OFFSETS = ([0, 2**63], [-4, 16], [16, 0], [0], [], "0-16", [0, 15], [500, 516], [0, 16, 32], None)
DTYPES = ("F32", "f32", "F64", "I128", "", None, 32, "F8_E4M3", "BOOL", "U8" * 1000)
RECORDS = ("{}", "[]", "null", '{"unet": {}}', '{"unet": []}', '{"unet": {"in_channels": 1e999}}', "[" * 5000, "\x00",
           '"' + "x" * 9999, '{"unet": {"block_out_channels": [-1]}}', '{"unet": {"_class_name": "os.system"}}')


def header(rng: random.Random) -> dict[str, object]:
    """A sound header of two tensors that fill `DATA`, with or without our record."""
    table: dict[str, object] = {
        "a": {"dtype": "F32", "shape": [8, 8], "data_offsets": [0, 256]},
        "b": {"dtype": "U8", "shape": [256], "data_offsets": [256, 512]},
    }
    if rng.random() < 0.5:
        table["__metadata__"] = {"show1": rng.choice(RECORDS)}
    return table


def flipped(rng: random.Random) -> bytes:
    """Some bytes of a sound file changed."""
    data = bytearray(packed(header(rng)))
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def cut(rng: random.Random) -> bytes:
    """A sound file that ends early, or goes on."""
    data = packed(header(rng))
    return data[: rng.randrange(len(data))] if rng.random() < 0.8 else data + rng.randbytes(rng.randrange(1, 99))


def mislabelled(rng: random.Random) -> bytes:
    """A header whose length is a lie."""
    return packed(header(rng), length=rng.choice(LENGTHS))


def bent(rng: random.Random) -> bytes:
    """One entry of a tensor, or of the metadata, replaced by something else."""
    table = header(rng)
    part, values = rng.choice((("shape", SHAPES), ("data_offsets", OFFSETS), ("dtype", DTYPES)))
    kind = rng.randrange(4)
    if kind == 0:
        table["__metadata__"] = rng.choice(([], "x", 3, None, {"show1": 3}, {"show1": None}, {3: "x"}, {"a": {"b": "c"}}))
    elif kind == 1:
        table[rng.choice(("a", "", "../x", "\x00", "show1.record", "x" * 4000))] = rng.choice(([], {}, None, "a", 3))
    else:
        table[rng.choice("ab")][part] = rng.choice(values)  # type: ignore[index]
    return packed(table)


def nested(rng: random.Random) -> bytes:
    """JSON that is deep, large, doubled or none."""
    text = rng.choice((b"[" * 5000, b'{"a":' * 5000, b"null", b"", b"\xff\xfe", b'{"a":1,"a":2}', b"NaN", b"1e999",
                       b'"' + b"x" * 99999))
    return struct.pack("<Q", len(text)) + text + DATA


def noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(0, 600))


KINDS: tuple[Callable[[random.Random], bytes], ...] = (flipped, cut, mislabelled, bent, nested, noise)


def packed(table: dict[str, object], length: int | None = None) -> bytes:
    """A safetensors file of a header, and of a length that may not be its own."""
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + DATA


def attempt(file: Path) -> str:
    """What came of listing and reading it: `read`, or `refused`; anything but a sentence is an error of ours."""
    is_converted(file)
    try:
        read_single(file)
        return "read"
    except CheckpointError as refusal:
        sentence = str(refusal)
        if "\n" in sentence or len(sentence) > 500:
            raise AssertionError(f"no sentence: {sentence[:600]!r}") from refusal
        return "refused"


def main() -> int:
    """Try them all; the first one that is more than a refusal is kept and named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, outcomes, slowest = random.Random(chosen.seed), Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hostile.safetensors"
        file.write_bytes(packed(header(rng)))
        attempt(file)  # whatever is imported on the way is no memory of the attack's
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(chosen.count):
            kind = KINDS[number % len(KINDS)]
            file.write_bytes(kind(rng))
            began = time.perf_counter()
            try:
                outcomes[attempt(file)] += 1
            except Exception as error:
                print(f"number {number} ({kind.__name__}) ended with {type(error).__name__}: {str(error)[:300]}")
                return 1
            slowest = max(slowest, time.perf_counter() - began)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{chosen.count} headers: {dict(outcomes)}, slowest {slowest:.3f} s, memory +{grown:.0f} MB")
    return 0 if slowest < SECONDS and grown < MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
