"""What the published run costs on paper: kernels, bytes and arithmetic of every stage, and the seconds that follow on a card.

    python benchmarks/cost.py [--record]

Counted on the meta device in half precision, so neither weights nor a GPU are needed; no time here was measured. A row is one
guided step of the network at the published size; the interpolation's holds all seven pairs. "Official" is our eager blocks called
the way the official code calls its own (`benchmarks/official.py`). --record puts the tables into benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cases import SIZES, STAGES, TOKENS, Case, Size, steps  # noqa: E402
from counting import Kernel, counting  # noqa: E402
from measure import Call  # noqa: E402
from memory import prepared  # noqa: E402

from show1_core.kernels import use_backend  # noqa: E402
from show1_core.models.config import UNetConfig  # noqa: E402
from show1_core.models.layout import lay_out  # noqa: E402
from show1_core.models.unet import UNet  # noqa: E402
from show1_core.stages import Stage  # noqa: E402

RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- cost on paper, by benchmarks/cost.py -->", "<!-- end of cost on paper -->"
MOST_NAMES = 12  # kinds of kernels in the last table


@dataclass(frozen=True)
class Card:
    """A card by its data sheet: dense half-precision TFLOP/s (sums in float32) and GB/s of its memory.

    `reached_flops` and `reached_bandwidth` are the parts of these that large products and copies are taken to reach, `launch`
    the microseconds that a kernel takes however little it does. All three are assumptions, alike for all cards: 593 TFLOP/s and
    3.0 TB/s on an H100.
    """

    name: str
    tflops: float
    bandwidth: float
    reached_flops: float = 0.60
    reached_bandwidth: float = 0.90
    launch: float = 3.0
    kernels: bool = True  # whether ours run on it

    def seconds(self, kernels: Iterable[Kernel]) -> float:
        """One kernel after the other; each takes as long as its arithmetic or its bytes, whichever is longer, and its launch."""
        rate, speed = self.tflops * 1e12 * self.reached_flops, self.bandwidth * 1e9 * self.reached_bandwidth
        return sum(max(kernel.flops / rate, kernel.bytes / speed) + self.launch * 1e-6 for kernel in kernels)


CARDS = (Card("T4", 65, 320, kernels=False), Card("RTX 3090", 71, 936), Card("RTX 4090", 165, 1008),
         Card("A100 80 GB", 312, 2039), Card("H100 SXM", 989, 3350), Card("H200", 989, 4800))


@dataclass(frozen=True)
class Way:
    """Kernels of one guided step of each stage."""

    stages: dict[Stage, list[Kernel]]

    def launches(self, stage: Stage) -> int:
        return len(self.stages[stage])

    def bytes(self, stage: Stage) -> int:
        return sum(kernel.bytes for kernel in self.stages[stage])

    def flops(self, stage: Stage) -> int:
        return sum(kernel.flops for kernel in self.stages[stage])

    def run_seconds(self, card: Card) -> float:
        """The published run: each stage's steps times what one takes."""
        return sum(steps(stage) * card.seconds(kernels) for stage, kernels in self.stages.items())


def meta_case(size: Size, stage: Stage) -> Case:
    """A guided step of a stage in half precision, on the meta device."""
    where = {"dtype": torch.float16, "device": "meta"}
    config = UNetConfig.from_dict(size.config(stage))
    clip = torch.empty(size.sample_shape(stage, config.in_channels), **where)
    return Case(stage, UNet(config, **where), clip, torch.empty((2, TOKENS, config.text_dim), **where))


@torch.no_grad()
def official_step(size: Size, stage: Stage) -> list[Kernel]:
    """The kernels of one guided step, the official way; pairs of keyframes come one after the other, and cost the same."""
    one = meta_case(size, stage)
    return second_call(replace(one, clip=one.clip[:1]).official()) * len(one.clip)


@torch.no_grad()
def our_step(size: Size, stage: Stage) -> list[Kernel]:
    """The kernels of one guided step as the nodes take it, with the backends that are preferred on a GPU."""
    one = meta_case(size, stage)
    lay_out(one.unet, "meta")
    timestep, text = torch.tensor(500, device="meta"), prepared(one.unet, 2, 2 * len(one.clip))
    return second_call(lambda: one.unet(one.clip, timestep, text, one.level, one.channels))


@torch.no_grad()
def plain_step(size: Size, stage: Stage) -> list[Kernel]:
    """The same on a card that our kernels do not run on: about what eager functions cost."""
    one = meta_case(size, stage)
    timestep, text = torch.tensor(500, device="meta"), prepared(one.unet, 2, 2 * len(one.clip))
    with use_backend("eager"):
        return second_call(lambda: one.unet(one.clip, timestep, text, one.level, one.channels))


def second_call(step: Call) -> list[Kernel]:
    """What a step does once whatever depends on the prompt alone has been made."""
    step()
    with counting() as kernels:
        step()
    return kernels


def count_lines(official: Way, ours: Way) -> Iterator[str]:
    """Kernels, bytes and arithmetic of each stage, and of the published run."""
    yield "| step of | kernels, official | ours | GB, official | ours | TFLOP, official | ours |\n|---|---|---|---|---|---|---|"
    for stage in STAGES:
        yield (f"| {stage.name} | {official.launches(stage):,} | {ours.launches(stage):,} | {official.bytes(stage) / 1e9:.1f} | "
               f"{ours.bytes(stage) / 1e9:.1f} | {official.flops(stage) / 1e12:.2f} | {ours.flops(stage) / 1e12:.2f} |")
    sums = [sum(steps(stage) * figure(stage) for stage in STAGES)
            for way in (official, ours) for figure in (way.launches, way.bytes, way.flops)]
    launches, moved, flops, our_launches, our_moved, our_flops = sums
    yield (f"| published run, {sum(map(steps, STAGES))} steps | {launches:,} | {our_launches:,} | {moved / 1e9:,.0f} | "
           f"{our_moved / 1e9:,.0f} | {flops / 1e12:,.0f} | {our_flops / 1e12:,.0f} |")
    yield (f"| ours, of official | | {our_launches / launches:.2f} | | {our_moved / moved:.2f} | | {our_flops / flops:.2f} |")


def card_lines(official: Way, ours: Way, plain: Way) -> Iterator[str]:
    """Predicted milliseconds of a step and seconds of the run on each card, official / ours: plain where kernels do not run."""
    yield f"| card | {' | '.join(stage.name for stage in STAGES)} | published run | ratio |"
    yield "|---" * (len(STAGES) + 3) + "|"
    for card in CARDS:
        way = ours if card.kernels else plain
        each = [f"{card.seconds(official.stages[stage]) * 1e3:,.0f} / {card.seconds(way.stages[stage]) * 1e3:,.0f} ms"
                for stage in STAGES]
        theirs, own = official.run_seconds(card), way.run_seconds(card)
        yield f"| {card.name} | {' | '.join(each)} | {theirs:,.0f} / {own:,.0f} s | {theirs / own:.2f} |"


def name_lines(ours: Way) -> Iterator[str]:
    """What kinds of kernels our published run spends its launches and bytes on, the heaviest first."""
    launches: dict[str, int] = {}
    moved: dict[str, int] = {}
    for stage, kernels in ours.stages.items():
        for kernel in kernels:
            launches[kernel.name] = launches.get(kernel.name, 0) + steps(stage)
            moved[kernel.name] = moved.get(kernel.name, 0) + steps(stage) * kernel.bytes
    whole = sum(moved.values())
    yield "| kernel, ours, published run | launches | GB | of all bytes |\n|---|---|---|---|"
    for name in sorted(moved, key=lambda name: -moved[name])[:MOST_NAMES]:
        yield f"| {name} | {launches[name]:,} | {moved[name] / 1e9:,.0f} | {moved[name] / whole:.0%} |"


def record(text: str) -> None:
    """Put the tables in the place of those that were there."""
    before, rest = RESULTS.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    RESULTS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help=f"put the tables into {RESULTS.name}")
    chosen = parser.parse_args()
    size = SIZES["published"]
    official, ours, plain = (Way({stage: step(size, stage) for stage in STAGES})
                             for step in (official_step, our_step, plain_step))
    parts = (count_lines(official, ours), card_lines(official, ours, plain), name_lines(ours))
    text = f"{datetime.date.today()}, PyTorch {torch.__version__}: arithmetic, not a measurement.\n\n"
    text += "\n\n".join("\n".join(lines) for lines in parts)
    print(text)
    if chosen.record:
        record(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
