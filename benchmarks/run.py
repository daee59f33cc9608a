"""One table: every UNet call and the whole cascade, the official way and ours.

    python benchmarks/run.py [--size mini quarter published] [--stage keyframes ...] [--device cpu] [--dtype fp32]
                             [--kernels auto] [--record]
    python benchmarks/run.py --check
    python benchmarks/run.py --official DIR [--official-python PYTHON]

--check: is everything right on this machine, and as fast as expected (`check.py`): a text of one screen, to paste.
--official: steps of a checkout of the official code beside ours (`official_code.py`), in a process, and a Python, of its own.

Both ways run the same weights in turns in one process. A row is one guided step of a stage; the interpolation's holds all
seven pairs. `cascade` adds the steps of the published run up. --record puts the table into benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measure  # noqa: E402
from cases import SIZES, STAGES, Size, case, steps  # noqa: E402
from check import check  # noqa: E402
from official_code import beside  # noqa: E402

from show1_core.kernels import Selection, chosen_by, use_backend  # noqa: E402
from show1_core.models.layout import lay_out  # noqa: E402
from show1_core.stages import Stage  # noqa: E402

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
RESULTS = Path(__file__).with_name("RESULTS.md")
MARK = "<!-- newest first -->"
HEAD = ("| size | step of | official | ours | ratio | TFLOP | of the peak | peak memory, official | ours | difference |\n"
        "|---|---|---|---|---|---|---|---|---|---|")


@dataclass(frozen=True)
class Row:
    """A step of a stage, measured; `difference` is relative, of ours to the official way."""

    size: str
    stage: Stage
    official: measure.Measured
    ours: measure.Measured
    flops: int
    difference: float

    def line(self, peak: float) -> str:
        share = self.flops / self.ours.seconds / peak
        return (f"| {self.size} | {self.stage.name} | {seconds(self.official.seconds)} | {seconds(self.ours.seconds)} | "
                f"{self.official.seconds / self.ours.seconds:.2f} | {self.flops / 1e12:.3g} | {share:.0%} | "
                f"{self.official.peak / 2**20:.0f} MB | {self.ours.peak / 2**20:.0f} MB | {self.difference:.0e} |")


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 10 else f"{value:,.0f} s"


@torch.inference_mode()
def measured(size: Size, stage: Stage, device: str, dtype: torch.dtype) -> Row:
    """One row, and nothing of it left in memory."""
    one = case(size, stage, device, dtype)
    official = one.official()  # which shares the weights, as they lie
    lay_out(one.unet, device)
    ours = one.ours()
    expected = official().float()
    difference = float((ours().float() - expected).norm() / expected.norm())
    taken = measure.side_by_side({"official": official, "ours": ours}, device)
    row = Row(size.name, stage, taken["official"], taken["ours"], measure.flops(ours), difference)
    del one, ours, official, expected
    gc.collect()
    return row


def cascade_line(rows: list[Row]) -> str:
    """The published run: each stage's steps times what one takes."""
    official, ours = (sum(getattr(row, way).seconds * steps(row.stage) for row in rows) for way in ("official", "ours"))
    return f"| {rows[0].size} | cascade, {sum(steps(row.stage) for row in rows)} steps | {seconds(official)} | " \
           f"{seconds(ours)} | {official / ours:.2f} | | | | | |"


def table(sizes: list[str], stages: list[Stage], device: str, dtype: str) -> str:
    """Measure and write as it comes."""
    peak = measure.matrix_peak(device, DTYPES[dtype])
    lines = [f"{datetime.date.today()}, {measure.machine(device)}, {dtype}; measured peak of matrix products "
             f"{peak / 1e12:.3g} TFLOP/s.", "", HEAD]
    print("\n".join(lines), flush=True)
    for name in sizes:
        rows = []
        for stage in stages:
            rows.append(measured(SIZES[name], stage, device, DTYPES[dtype]))
            lines.append(rows[-1].line(peak))
            print(lines[-1], flush=True)
        if len(rows) == len(STAGES):
            lines.append(cascade_line(rows))
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    names = {stage.name: stage for stage in STAGES}
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["mini", "quarter", *(["published"] if cuda else [])])
    parser.add_argument("--stage", nargs="+", choices=names, default=list(names))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16" if cuda else "fp32")
    parser.add_argument("--kernels", choices=("auto", "any", "eager"), default="auto",
                        help="any: with those that nobody has timed; official is always eager")
    parser.add_argument("--record", action="store_true", help=f"put the table into {RESULTS.name}")
    parser.add_argument("--check", action="store_true", help="check every kernel and stage here instead")
    parser.add_argument("--official", metavar="DIR", type=Path, help="a checkout of the official code, timed beside ours")
    parser.add_argument("--official-python", metavar="PYTHON", default=sys.executable, help="a Python that has what it needs")
    chosen = parser.parse_args()
    if chosen.check:
        return check()
    if chosen.official:
        return beside(chosen.official, chosen.official_python, chosen.size, [names[name] for name in chosen.stage])
    with use_backend(chosen.kernels), chosen_by(Selection()):
        text = table(chosen.size, [names[name] for name in chosen.stage], chosen.device, chosen.dtype)
    if chosen.record:
        before, after = RESULTS.read_text(encoding="utf-8").split(MARK, 1)
        RESULTS.write_text(f"{before}{MARK}\n\n{text}\n{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
