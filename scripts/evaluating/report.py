"""What was found: a table for the terminal, a JSON file for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .measuring import MeasuredSet
from .metrics import METRICS
from .networks import Network

if TYPE_CHECKING:
    from show1_core.evaluation.scores import Score


def table(scores: Mapping[str, Score]) -> str:
    """A line a metric: value, standard error, clips."""
    rows = [("metric", "value", "+-", "clips")]
    for name, score in scores.items():
        rows.append((METRICS[name].title, f"{score.value:.4f}", f"{score.error:.4f}", f"{score.clips:,}"))
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows)


def content(scores: Mapping[str, Score], networks: Mapping[str, Network], sets: Mapping[str, Path],
            measured: Mapping[str, MeasuredSet]) -> dict[str, Any]:
    """Everything that says how the figures came about."""
    return {
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **{title: str(path) for title, path in sets.items()},
        "metrics": {name: {**asdict(score), **described(networks[METRICS[name].extractor])} for name, score in scores.items()},
        "left out": {title: [{"clip": clip.name, "reason": reason} for clip, reason in found.broken]
                     for title, found in measured.items() if found.broken},
    }


def described(network: Network) -> dict[str, Any]:
    return {"preprocessing": network.extractor.described(), "network": {"file": network.path.name, "sha256": network.sha256}}


def write(file: Path, found: dict[str, Any]) -> None:
    """The JSON file, whole or untouched."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)
