"""The real side of a comparison: statistics of a file, or of a folder that is measured now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from terminal import Failure

from .measuring import Extraction, MeasuredSet

if TYPE_CHECKING:
    from show1_core.evaluation.statistics import Statistics

MOST_SAVED_NUMBERS = 10**8  # a file keeps features up to so many numbers; above them, mean and covariance alone


@dataclass(frozen=True)
class KnownSets:
    """Statistics by extractor, and the extractors whose statistics have to be measured."""

    statistics: dict[str, Statistics]
    missing: list[str]


def known_sets(extractors: Iterable[str], real: Path | None) -> KnownSets:
    """What --real holds as files of statistics. Raises Failure when it is none, not there, or damaged."""
    from show1_core.evaluation.statistics import StatisticsError, load

    if real is None:
        raise Failure("fvd, fvd-tats and fid-vid compare with real videos; give --real a folder of them, or statistics of one.")
    if not real.exists():
        raise Failure(f"{real} is not there; give a folder of real videos, or statistics that --save-statistics wrote.")
    wanted = list(extractors)
    try:
        if real.is_file():
            found = load(real)
            statistics = {found.measured.extractor: found}
        else:
            files = {name: real / file_name(name) for name in wanted}
            statistics = {name: load(file) for name, file in files.items() if file.is_file()}
    except StatisticsError as error:
        raise Failure(str(error)) from error
    missing = [name for name in wanted if name not in statistics]
    if missing and (real.is_file() or statistics):
        raise Failure(f"{real} has no statistics of {missing[0]}; measure the real videos with that metric too.")
    return KnownSets(statistics, missing)


def file_name(extractor: str) -> str:
    return f"{extractor}.safetensors"


def statistics_of(extraction: Extraction, measured: MeasuredSet) -> Statistics:
    """What an extractor saw of a set, gathered clip by clip."""
    from show1_core.evaluation.scores import Gathered
    from show1_core.evaluation.statistics import Measured, Statistics

    gathered = Gathered()
    for features in extraction.store.features(measured.clips):
        gathered.add(features)
    extractor = extraction.network.extractor
    about = Measured(extractor.name, extraction.network.sha256, extractor.described(), measured.source.name)
    return Statistics(about, gathered.clips, gathered.rows, gathered.groups())


def save_statistics(folder: Path, measured: MeasuredSet, found: dict[str, Statistics]) -> None:
    """A file an extractor: features where they are few, else mean and covariance."""
    import torch

    from show1_core.evaluation import statistics

    for name, one in found.items():
        few = one.rows == one.clips and one.rows * len(one.groups[0].mean) <= MOST_SAVED_NUMBERS
        features = torch.cat(list(measured.extractions[name].store.features(measured.clips))) if few else None
        statistics.save(folder / file_name(name), one, features)
