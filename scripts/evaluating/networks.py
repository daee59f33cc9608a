"""The networks that the metrics asked for need, loaded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True)
class Places:
    """Where networks lie: those named on the command line, by extractor, and a folder for the others."""

    named: Mapping[str, Path]
    folder: Path | None

    def of(self, extractor: Extractor) -> Path:
        """An extractor's network. Raises MissingNetwork."""
        from show1_core.evaluation.networks import MissingNetwork, find

        if extractor.name in self.named:
            return self.named[extractor.name]
        if self.folder is None:
            network = extractor.network
            raise MissingNetwork(f"{network.title} is not named; get it ({network.source}) and name it with --network "
                                 f"{extractor.name}=PATH, or its folder with --networks DIR.")
        return find(extractor.network, self.folder)


def named_networks(options: Iterable[str]) -> dict[str, Path]:
    """What --network names, NAME=PATH each. Raises Failure for a name that no network has, and a path that is not there."""
    from show1_core.evaluation.extractors import EXTRACTORS

    found: dict[str, Path] = {}
    for option in options:
        name, _, path = option.partition("=")
        if name not in EXTRACTORS or not path:
            raise Failure(f"--network {option} names no network; expected NAME=PATH with a NAME of {', '.join(EXTRACTORS)}.")
        if not Path(path).exists():
            raise Failure(f"--network {option}: {path} is not there; expected {EXTRACTORS[name].network.title}.")
        found[name] = Path(path)
    return found


def load(extractors: Iterable[Extractor], places: Places, device: str) -> dict[str, Network]:
    """The networks of these extractors, by name; a line with its SHA-256 for each. Raises Failure for one that is missing."""
    import torch

    from show1_core.evaluation.networks import MissingNetwork, digest
    from show1_core.weights import CheckpointError

    wanted = list({extractor.name: extractor for extractor in extractors}.values())
    try:
        paths = [places.of(extractor) for extractor in wanted]  # all of them before the first is loaded
        found = {}
        for extractor, path in zip(wanted, paths, strict=True):
            sha256 = digest(path)
            say(f"{extractor.network.title}: {path}, SHA-256 {sha256}")
            found[extractor.name] = Network(extractor, path, sha256, extractor.prepare(path, torch.device(device)))
    except (MissingNetwork, CheckpointError) as error:
        raise Failure(str(error)) from error
    return found


def best_device() -> str:
    """The accelerator that torch finds, or the CPU."""
    import torch

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator else "cpu"
