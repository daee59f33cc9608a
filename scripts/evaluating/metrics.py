"""The metrics by the names on the command line: which network each needs, and how its features become a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from terminal import Failure

from .clips import Clip
from .measuring import Extraction, MeasuredSet
from .real_sets import statistics_of

if TYPE_CHECKING:
    from torch import Tensor

    from show1_core.evaluation.scores import Score
    from show1_core.evaluation.statistics import Statistics

TEXTS = 64  # prompts at once


@dataclass(frozen=True)
class Metric:
    """A metric: its extractor, whether it compares with real videos, whether it needs prompts."""

    title: str
    extractor: str
    real: bool = False
    prompts: bool = False


METRICS = {
    "fvd": Metric("FVD (styleganv)", "i3d-styleganv", real=True),
    "fvd-tats": Metric("FVD (tats)", "i3d-tats", real=True),
    "fid-vid": Metric("FID-vid", "inception", real=True),
    "is": Metric("IS", "c3d"),
    "clipsim": Metric("CLIPSIM", "clip", prompts=True),
    "consistency": Metric("frame consistency", "clip"),
}


def score(name: str, generated: MeasuredSet, real: Mapping[str, Statistics], prompts: Mapping[Clip, str]) -> Score:
    """A metric over a measured set. Raises Failure when it cannot be compared or has too few clips."""
    from show1_core.evaluation import scores

    metric = METRICS[name]
    extraction = generated.extractions[metric.extractor]
    try:
        if metric.real:
            return frechet(statistics_of(extraction, generated), real[metric.extractor])
        features = extraction.store.features(generated.clips)
        if name == "is":
            return scores.inception_score(stacked(features))
        if name == "consistency":
            return scores.mean_score([scores.consistency(frames) for frames in features])
        texts = text_features(extraction, {prompts[clip] for clip in generated.clips})
        pairs = zip(features, generated.clips, strict=True)
        return scores.mean_score([scores.similarity(frames, texts[prompts[clip]]) for frames, clip in pairs])
    except ValueError as error:
        raise Failure(f"{metric.title}: {error}") from error


def frechet(generated: Statistics, real: Statistics) -> Score:
    """The distance of two sets that can be compared. Raises ValueError."""
    from show1_core.evaluation.scores import frechet_score
    from show1_core.evaluation.statistics import comparable

    comparable(generated, real)
    return frechet_score(generated.groups, real.groups, generated.clips)


def stacked(features: Iterable[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(features))


def text_features(extraction: Extraction, prompts: Iterable[str]) -> dict[str, Any]:
    """The vector of every prompt; one that many clips share is encoded once."""
    unique = sorted(prompts)
    found: dict[str, Any] = {}
    for start in range(0, len(unique), TEXTS):
        part = unique[start:start + TEXTS]
        found |= zip(part, extraction.network.run.texts(part), strict=True)
    return found
