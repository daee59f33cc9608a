"""The networks that the metrics asked for need, loaded once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terminal import Failure, say

if TYPE_CHECKING:
    from show1_core.evaluation.extractors import Extractor


@dataclass(frozen=True)
class Network:
    """A network that was found: where, its SHA-256, and what turns frames into features."""

    extractor: Extractor
    path: Path
    sha256: str
    run: Any


def load(extractors: Iterable[Extractor], folder: Path, device: str) -> dict[str, Network]:
    """The networks of these extractors, by name; a line with its SHA-256 for each. Raises Failure for one that is missing."""
    import torch

    from show1_core.evaluation.networks import MissingNetwork, digest, find

    wanted = list({extractor.name: extractor for extractor in extractors}.values())
    try:
        paths = [find(extractor.network, folder) for extractor in wanted]  # all of them before the first is loaded
        found = {}
        for extractor, path in zip(wanted, paths, strict=True):
            sha256 = digest(path)
            say(f"{extractor.network.title}: {path}, SHA-256 {sha256}")
            found[extractor.name] = Network(extractor, path, sha256, extractor.prepare(path, torch.device(device)))
    except MissingNetwork as error:
        raise Failure(str(error)) from error
    return found


def best_device() -> str:
    """The accelerator that torch finds, or the CPU."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator else "cpu"
