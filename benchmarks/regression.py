"""Whether the mini's videos are judged worse than the recorded ones, by more than the error of the comparison.

    python benchmarks/judge_cascade.py --prompts 8 --output output/judge
    python benchmarks/regression.py output/judge/judge.json            # compare
    python benchmarks/regression.py output/judge/judge.json --record   # after the mini was trained anew

Prompts and seeds are the same, so clips are compared in pairs: of every clip, the share of what its prompt promises that
is seen, over all stages. The mean difference over the clips has a standard error; a drop of more than two is a regression.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from judge import claim_of, parts_of

REPO = Path(__file__).resolve().parents[1]
MINI = REPO / "models" / "show1-mini"
RECORD = REPO / "tests" / "data" / "mini_scores.json"
ERRORS = 2.0  # standard errors that count as a drop


@dataclass(frozen=True)
class Change:
    """The mean change of the clips' shares, and its standard error."""

    mean: float
    error: float

    @property
    def is_a_drop(self) -> bool:
        return self.mean < 0 and self.mean + ERRORS * self.error < 0


def shares_of(judged: dict[str, Any]) -> dict[str, float]:
    """By prompt, the share in 0..1 of what it promises that is seen, over all stages of judge.json."""
    right: dict[str, list[bool]] = {}
    for stage in judged.values():
        for clip in stage["clips"]:
            promised = parts_of(claim_of(clip["prompt"]))
            right.setdefault(clip["prompt"], []).extend(clip[name] == promised[name] for name in promised)
    return {prompt: float(np.mean(found)) for prompt, found in right.items()}


def change(before: dict[str, float], now: dict[str, float]) -> Change:
    """The change from recorded shares to those of a run. Raises ValueError when they are of other prompts."""
    if before.keys() != now.keys():
        raise ValueError(f"{len(before)} recorded prompts, {len(now)} judged, not the same; judge as many as were recorded.")
    differences = np.array([now[prompt] - before[prompt] for prompt in before])
    return Change(float(differences.mean()), float(differences.std(ddof=1) / len(differences) ** 0.5))


def weights_digest() -> str:
    """One SHA-256 for all weights of the mini that draw, which the scorer's do not."""
    digest = hashlib.sha256()
    for file in sorted(file for file in MINI.rglob("*.safetensors") if file.parent.name != "scorer"):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare judged videos with the recorded scores.")
    parser.add_argument("judged", type=Path, metavar="judge.json")
    parser.add_argument("--record", action="store_true", help="write the scores as those to compare with")
    chosen = parser.parse_args(arguments)
    now = shares_of(json.loads(chosen.judged.read_text(encoding="utf-8")))
    if chosen.record:
        RECORD.write_text(json.dumps({"weights": weights_digest(), "shares": now}, indent=1) + "\n", encoding="utf-8")
        print(f"{RECORD}: {len(now)} prompts, mean {np.mean(list(now.values())):.3f}")
        return 0
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    if recorded["weights"] != weights_digest():
        print("the mini has other weights than when the scores were recorded; record them anew")
        return 1
    found = change(recorded["shares"], now)
    print(f"change of the mean share: {found.mean:+.4f}, standard error {found.error:.4f}")
    return 1 if found.is_a_drop else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
