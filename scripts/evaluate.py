"""Measure videos like the paper: `evaluate.py fvd clipsim --generated DIR --real DIR --prompts FILE.csv --networks DIR`.

Clips are video files at any depth, or folders of pictures; the output folder of the batch command serves as it is.
Networks are the user's, in a folder or each named with --network NAME=PATH: nothing is downloaded. What was measured is
kept, and the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from evaluating import measuring, networks, real_sets, report
from evaluating.clips import Clip, prompt_of
from evaluating.measuring import MeasuredSet, Options
from evaluating.metrics import METRICS, score
from evaluating.networks import Network, Places
from hosting.hosts import REPO
from hosting.launcher import torchvision_operators
from terminal import Failure, guarded, positive, say
from terminal.packages import use_library

if TYPE_CHECKING:
    from show1_core.evaluation.statistics import Statistics


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    use_library("torch", "numpy", "av", "PIL", "einops", "safetensors", "transformers")
    operators = torchvision_operators() if find_spec("torchvision") else None  # transformers imports it where it is
    try:
        return evaluate(chosen)
    finally:
        del operators


def evaluate(chosen: argparse.Namespace) -> int:
    """Measure, print the table, write the file. Raises Failure."""
    from show1_core.evaluation.extractors import EXTRACTORS

    wanted = list(dict.fromkeys(chosen.metrics))
    options = Options(chosen.clips, chosen.workers, chosen.work)
    prompts = prompts_for(wanted, chosen.prompts, measuring.chosen_clips(chosen.generated, options))
    extractors = [EXTRACTORS[METRICS[name].extractor].reading(chosen.frames) for name in wanted]
    places = Places(networks.named_networks(chosen.network), chosen.networks)
    found = networks.load(extractors, places, chosen.device or networks.best_device())
    measured: dict[str, MeasuredSet] = {}
    real = real_statistics(wanted, chosen, found, measured)
    measured["generated"] = measuring.measure("generated", chosen.generated, found.values(), options)
    measuring.refuse_broken(measured, chosen.skip_broken)
    say("scores ...")
    scores = {name: score(name, measured["generated"], real, prompts) for name in wanted}
    print(report.table(scores))
    if chosen.output:
        sets = {"generated": chosen.generated} | ({"real": chosen.real} if real else {})
        report.write(chosen.output, report.content(scores, found, sets, measured))
    return 0


def prompts_for(wanted: list[str], table: Path | None, clips: list[Clip]) -> Mapping[Clip, str]:
    """Every clip's prompt, when a metric needs prompts. Raises Failure before anything is measured."""
    needing = [name for name in wanted if METRICS[name].prompts]
    if not needing:
        return {}
    if table is None:
        raise Failure(f"{needing[0]} compares clips with prompts; give --prompts a .csv or .jsonl with columns id and prompt.")
    from show1_core.evaluation.prompts import read

    try:
        rows = read(table)
    except (OSError, ValueError) as error:
        raise Failure(str(error)) from error
    return {clip: prompt_of(clip, rows) for clip in clips}


def real_statistics(wanted: list[str], chosen: argparse.Namespace, found: Mapping[str, Network],
                    measured: dict[str, MeasuredSet]) -> dict[str, Statistics]:
    """The real side of every metric that has one, by extractor: from files, or measured now. Raises Failure."""
    comparing = [METRICS[name].extractor for name in wanted if METRICS[name].real]
    if not comparing:
        return {}
    known = real_sets.known_sets(comparing, chosen.real)
    if not known.missing:
        return known.statistics
    options = Options(chosen.clips, chosen.workers, chosen.work)
    measured["real"] = measuring.measure("real", chosen.real, [found[name] for name in known.missing], options)
    measuring.refuse_broken(measured, chosen.skip_broken)
    sets = {name: real_sets.statistics_of(extraction, measured["real"])
            for name, extraction in measured["real"].extractions.items()}
    if chosen.save_statistics:
        real_sets.save_statistics(chosen.save_statistics, measured["real"], sets)
    return sets


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("metrics", nargs="+", choices=METRICS, metavar="METRIC", help=", ".join(METRICS))
    add("--generated", type=Path, required=True, metavar="DIR", help="the clips that are measured")
    add("--real", type=Path, metavar="DIR|STATISTICS", help="real clips, or what --save-statistics wrote of them")
    add("--networks", type=Path, metavar="DIR", help="the folder with the networks")
    add("--network", action="append", default=[], metavar="NAME=PATH",
        help="where one network is, before any in that folder: i3d-styleganv, i3d-tats, c3d, inception, clip; once for each")
    add("--prompts", type=Path, metavar="FILE", help="a .csv or .jsonl with columns id and prompt, for clipsim")
    add("--output", type=Path, metavar="FILE.json", help="the figures, and how they came about")
    add("--clips", type=positive, metavar="N", help="so many clips of each folder, chosen by their names (default: all)")
    add("--frames", type=positive, default=16, metavar="N", help="so many from every clip's middle (CLIP reads all; default 16)")
    add("--skip-broken", action="store_true", help="leave out clips that cannot be read, instead of refusing")
    add("--save-statistics", type=Path, metavar="DIR", help="keep the real clips' statistics, a file a network")
    add("--workers", type=positive, default=max((os.cpu_count() or 2) - 1, 1), metavar="N", help="decoding processes")
    add("--device", help="such as cuda or cpu (default: what torch finds)")
    add("--work", type=Path, default=REPO / "output" / "evaluation", metavar="DIR", help="where features are kept")
    return parser


if __name__ == "__main__":
    guarded(main)
