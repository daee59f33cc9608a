"""Tensors and JSON from disk and back: safetensors, weights-only pickles, whole or in shards, one sentence when damaged."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SAFETENSORS = (".safetensors", ".sft")  # endings of file names, in small letters
LARGEST_JSON = 16 * 2**20  # bytes; a published index of five thousand tensors has half a megabyte


class CheckpointError(ValueError):
    """A file or folder that cannot be used, with what it is, what was expected and what to do."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; copy the whole folder as published, with its config files.")
    if path.stat().st_size > LARGEST_JSON:
        raise CheckpointError(f"{path} has {path.stat().st_size} bytes; a config has a few thousand. Download it again.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable as JSON ({first_line(error)}); download it again.") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path} holds a {type(record).__name__}; expected a JSON object.")
    return record


def find_weights(folder: Path, stem: str) -> list[Path]:
    """The weight files of a published folder, safetensors before pickles, full files before half-precision ones.

    Published names are `<stem>.safetensors`, `<stem>.fp16.safetensors`, the same with `.bin`, and shards listed in
    `<name>.index.json`. Raises CheckpointError when there is none.
    """
    for ending in ("safetensors", "bin"):
        for variant in ("", ".fp16"):
            whole = folder / f"{stem}{variant}.{ending}"
            if whole.is_file():
                return [whole]
            # an index is named after the file it stands for, the variant before or behind "index"
            for index in (folder / f"{stem}{variant}.{ending}.index.json", folder / f"{stem}.{ending}.index{variant}.json"):
                if index.is_file():
                    return shards(index)
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
    raise CheckpointError(f"{folder} has no weights ({there}); expected {stem}.safetensors or {stem}.bin, with or without .fp16.")


def find_transformers_weights(folder: Path) -> list[Path]:
    """The weight files of a folder that transformers has written. Raises CheckpointError when there is none."""
    return find_weights(folder, "model" if any(folder.glob("model*.safetensors")) else "pytorch_model")


def shards(index: Path) -> list[Path]:
    """The files an index names, all in its own folder. Raises CheckpointError."""
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(f"{index} has no weight_map; download it again.")
    files = []
    for name in sorted(set(names.values())):
        if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
            raise CheckpointError(f"{index} names {name!r}; expected plain file names beside it.")
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index.parent / name} is missing although {index.name} lists it; download it.")
        files.append(index.parent / name)
    return files


def read_tensors(files: list[Path]) -> dict[str, Tensor]:
    """All tensors of the files, mapped from disk where the format allows. Raises CheckpointError."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        read = read_safetensors(file) if is_safetensors(file.name) else read_pickle(file)
        twice = tensors.keys() & read.keys()
        if twice:
            raise CheckpointError(f"{file} repeats the tensor {min(twice)} of another shard; download the folder again.")
        tensors.update(read)
    return tensors


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Another name to write a file under: at the end it takes the place of `path`, unless something failed on the way."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # a loader lists names that end in .safetensors
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_safetensors(name: str) -> bool:
    """Whether a file of this name is a safetensors file, as the host counts them."""
    return name.lower().endswith(SAFETENSORS)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file. Raises CheckpointError when the header or the length is wrong."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({first_line(error)}); download it again.") from error


def read_header(path: Path) -> bytes:
    """The JSON at the beginning of a safetensors file, as it is. Raises CheckpointError when the file is shorter."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise CheckpointError(f"{path} is damaged or no safetensors file (its header is cut off); download it again.")
        return file.read(length)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a single safetensors file; empty when it has none. Raises CheckpointError."""
    with opened(path) as file:
        return file.metadata() or {}


def read_names(path: Path) -> list[str]:
    """The names of the tensors in a single safetensors file. Raises CheckpointError."""
    with opened(path) as file:
        return list(file.keys())


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A single safetensors file whose header has been read and nothing more. Raises CheckpointError."""
    from safetensors import SafetensorError, safe_open

    if not is_safetensors(path.name):
        raise CheckpointError(f"{path.name} is a single {path.suffix or 'nameless'} file; expected a published folder or a "
                              ".safetensors file made by scripts/convert.py.")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({first_line(error)}); download it again.") from error


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.bin` state dict. Only tensors are built; a pickle that asks for anything else is refused."""
    try:
        zipped = is_archive(path)
        record = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} is damaged or would run code when opened, and was not opened "
                              f"({first_line(error)[:120]}).") from error
    except CheckpointError:
        raise
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, IndexError, TypeError,
            zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is damaged ({first_line(error)}); download it again.") from error
    if not isinstance(record, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in record.items()):
        raise CheckpointError(f"{path} is not a state dict of named tensors; expected the published weights file.")
    return record


def is_archive(path: Path) -> bool:
    """Whether a pickle comes in a zip file. Raises CheckpointError for one that takes more room than its file has."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(f"{path} is a compressed archive, which PyTorch does not write and which may swell; it was not "
                              "opened. Download it again.")
    return True


def first_line(error: Exception) -> str:
    """The beginning of what an error says, short and in plain characters: it may quote the file."""
    return plain(next(iter(str(error).splitlines()), type(error).__name__))


def last_line(error: Exception) -> str:
    """The end of what an error says, likewise: PyTorch's list of what does not fit begins with a heading."""
    return plain(next(iter(reversed(str(error).splitlines())), type(error).__name__))


def plain(line: str) -> str:
    """At most 160 printable characters of a line."""
    return "".join(character if character.isprintable() else "?" for character in line.strip()[:160])
