"""What to draw for a table: prompts as rows of an id and a text.

    python -m show1_core.evaluation.prompts ucf101 --clips 2048 --output prompts.csv
    python -m show1_core.evaluation.prompts msrvtt --annotations test_videodatainfo.json --output prompts.csv
    python -m show1_core.evaluation.prompts compositional --output prompts.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
UCF101_CLASSES = 101


@dataclass(frozen=True)
class Prompt:
    """One clip to draw. `id` names it; clips of one prompt differ in their seed."""

    id: str
    text: str
    seed: int = 0


def ucf101(clips: int, equal: bool = False) -> list[Prompt]:
    """UCF-101's sentences (PYoCo, figure 8), shared out as in test split 1, or equally; a class's sentences take turns.

    The paper draws 2,048 clips for FVD and 10,000 for the Inception score. Raises ValueError for fewer clips than classes.
    """
    if clips < UCF101_CLASSES:
        raise ValueError(f"{clips} clips are fewer than UCF-101's {UCF101_CLASSES} classes; ask for {UCF101_CLASSES} or more.")
    classes = _data("ucf101.json")
    weights = [1 if equal else entry["test_videos"] for entry in classes]
    return [
        Prompt(f"{entry['class']}-{number:04}", entry["prompts"][number % len(entry["prompts"])], number)
        for entry, count in zip(classes, shares(clips, weights), strict=True) for number in range(count)
    ]


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` things in proportion to weights: whole parts first, then the largest remainders."""
    whole = sum(weights)
    counts = [total * weight // whole for weight in weights]
    remainders = sorted(range(len(weights)), key=lambda index: (-(total * weights[index] % whole), index))
    for index in remainders[:total - sum(counts)]:
        counts[index] += 1
    return counts


def msrvtt(annotations: Path, every: bool = False, seed: int = 0, split: str = "test") -> list[Prompt]:
    """Captions of MSR-VTT's annotation file: one a video, drawn by the seed, or every one of them. Raises ValueError."""
    try:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        splits = {video["video_id"]: video.get("split", split) for video in content["videos"]}
        captions: dict[str, list[str]] = defaultdict(list)
        for sentence in content["sentences"]:
            captions[sentence["video_id"]].append(sentence["caption"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{annotations} is no annotation file of MSR-VTT ({type(error).__name__}: {error}); expected videos and "
                         "sentences, as in test_videodatainfo.json.") from error
    videos = [video for video, of in splits.items() if of == split and captions[video]]
    if not videos:
        found = ", ".join(sorted(set(splits.values()))) or "nothing"
        raise ValueError(f"{annotations} has no captioned video of the split {split!r}; it has {found}.")
    draw = random.Random(seed)  # noqa: S311 - a choice that is to be repeatable, not secret
    if every:
        return [Prompt(f"{video}-{number:02}", text, number) for video in videos for number, text in enumerate(captions[video])]
    return [Prompt(video, draw.choice(captions[video])) for video in videos]


def compositional() -> list[Prompt]:
    """200 prompts of our own, 50 each about colour, number, relation and action."""
    return [Prompt(f"{kind}-{number:02}", text) for kind, texts in _data("compositional.json").items()
            for number, text in enumerate(texts)]


def write(prompts: Sequence[Prompt], file: Path) -> None:
    """A table with the columns id, prompt and seed. Raises ValueError when two rows have one id."""
    twice = [name for name, times in Counter(prompt.id for prompt in prompts).items() if times > 1]
    if twice:
        raise ValueError(f"the id {twice[0]!r} is there twice; every clip needs one of its own.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("id", "prompt", "seed"))
        rows.writerows((prompt.id, prompt.text, prompt.seed) for prompt in prompts)


def read(file: Path) -> dict[str, str]:
    """Prompts by id, from a CSV or JSONL table with columns id and prompt. Raises ValueError naming the row."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows: Any = map(json.loads, filter(str.strip, stream)) if file.suffix == ".jsonl" else csv.DictReader(stream)
        found: dict[str, str] = {}
        for number, row in enumerate(rows, start=1):
            if not (isinstance(row, dict) and row.get("id") and row.get("prompt")):
                raise ValueError(f"row {number} of {file} has no id or no prompt; expected columns id and prompt.")
            found[str(row["id"])] = row["prompt"]
    return found


def _data(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m show1_core.evaluation.prompts", description="Write a table of prompts.")
    parser.add_argument("set", choices=("ucf101", "msrvtt", "compositional"))
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--clips", type=int, default=2048, help="ucf101: how many (default 2048)")
    parser.add_argument("--equal", action="store_true", help="ucf101: as many of every class, not as in test split 1")
    parser.add_argument("--annotations", type=Path, help="msrvtt: its annotation file")
    parser.add_argument("--every-caption", action="store_true", help="msrvtt: all captions, not one a video")
    parser.add_argument("--seed", type=int, default=0, help="msrvtt: which caption of a video")
    chosen = parser.parse_args(arguments)
    if chosen.set == "msrvtt" and chosen.annotations is None:
        parser.error("msrvtt needs --annotations FILE")
    try:
        found = {"ucf101": lambda: ucf101(chosen.clips, chosen.equal),
                 "msrvtt": lambda: msrvtt(chosen.annotations, chosen.every_caption, chosen.seed),
                 "compositional": compositional}[chosen.set]()
        write(found, chosen.output)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"{chosen.output}: {len(found):,} prompts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
