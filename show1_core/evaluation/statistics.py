"""A measured set of videos as one .safetensors file, so that a real set is measured once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..weights import replacing
from .distances import Gaussian, gaussian_of_covariance, whole
from .scores import Gathered

FORMAT = "show1-statistics-1"


class StatisticsError(ValueError):
    """A file of statistics that is none, or two sets that cannot be compared; the text is one sentence."""


@dataclass(frozen=True)
class Measured:
    """How a set was measured: the extractor's name, its network's SHA-256, what was done to the frames, which clips."""

    extractor: str
    sha256: str
    preprocessing: str
    source: str


@dataclass(frozen=True)
class Statistics:
    """`clips` clips as `rows` samples: their groups of features as Gaussians."""

    measured: Measured
    clips: int
    rows: int
    groups: list[Gaussian]


def comparable(generated: Statistics, real: Statistics) -> None:
    """Refuse sets whose distance would mean nothing. Raises StatisticsError."""
    for what, first, second in (
            ("extractor", generated.measured.extractor, real.measured.extractor),
            ("network", generated.measured.sha256, real.measured.sha256),
            ("preprocessing", generated.measured.preprocessing, real.measured.preprocessing)):
        if first != second:
            raise StatisticsError(f"the {what} is {first!r} for the generated and {second!r} for the real clips; measure both "
                                  "with the same.")
    if (generated.clips, generated.rows) != (real.clips, real.rows):
        raise StatisticsError(
            f"there are {generated.clips:,} generated and {real.clips:,} real clips, and the distance depends on their number; "
            f"compare equal numbers, such as --clips {min(generated.clips, real.clips)} for both.")


def save(file: Path, statistics: Statistics, features: Tensor | None = None) -> None:
    """Write features (N, D) where they are given, else mean and covariance; whole under its name, or not at all."""
    about = statistics.measured
    metadata = {"format": FORMAT, "extractor": about.extractor, "network_sha256": about.sha256, "source": about.source,
                "preprocessing": about.preprocessing, "clips": str(statistics.clips), "rows": str(statistics.rows)}
    if features is None:
        gathered = whole(statistics.groups)
        tensors = {"mean": gathered.mean, "covariance": gathered.covariance()}
    else:
        tensors = {"features": features}
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)


def load(file: Path) -> Statistics:
    """Read a file of statistics. Raises StatisticsError."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise StatisticsError(f"{file} is no file of statistics; expected one that evaluate.py wrote.")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{file} cannot be read ({error}); measure the videos again.") from error
    if missing := lacking(metadata, tensors):
        raise StatisticsError(f"{file} has no {missing}; measure the videos again.")
    about = Measured(metadata["extractor"], metadata["network_sha256"], metadata["preprocessing"], metadata["source"])
    clips, rows = int(metadata["clips"]), int(metadata["rows"])
    return Statistics(about, clips, rows, groups_of(tensors, clips, rows))


def lacking(metadata: dict[str, str], tensors: dict[str, Tensor]) -> str | None:
    """What a file should have and has not, in words: the first such thing."""
    for name in ("extractor", "network_sha256", "preprocessing", "source"):
        if name not in metadata:
            return name
    for name in ("clips", "rows"):
        if not (metadata.get(name, "").isdecimal() and int(metadata[name])):
            return f"number of {name}"
    if "features" in tensors:
        return None if len(tensors["features"]) == int(metadata["rows"]) else f"features of {metadata['rows']} samples"
    return next((name for name in ("mean", "covariance") if name not in tensors), None)


def groups_of(tensors: dict[str, Tensor], clips: int, rows: int) -> list[Gaussian]:
    """What was saved, in groups as it was gathered where its features are known."""
    if "features" not in tensors:
        return [gaussian_of_covariance(rows, tensors["mean"], tensors["covariance"])]
    gathered = Gathered()
    for clip in torch.tensor_split(tensors["features"], clips):
        gathered.add(clip)
    return gathered.groups()
