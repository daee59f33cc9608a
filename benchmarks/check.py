"""The self-test of a card: is every kernel right here, how long does it take, and what was expected?

Every backend of every function against eager in float32, then a guided step of every stage. Without a card the same is done on
the CPU in the mini's size, where few backends run: what is not is said. What memory does not hold is one row that says so.
"""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Conv2d, Conv3d, GroupNorm

sys.path.insert(0, str(Path(__file__).resolve().parent))

import measure  # noqa: E402
from cases import SIZES, STAGES, case  # noqa: E402
from cost import CARDS, Card, our_step, plain_step  # noqa: E402

from show1_core.kernels import FUNCTIONS, Function, Selection, Trials, chosen_by, explain, use_backend  # noqa: E402
from show1_core.kernels.selection import TOLERANCE, seconds_of  # noqa: E402
from show1_core.kernels.triton_guard import OBSTACLE, triton  # noqa: E402
from show1_core.memory import is_out_of_memory  # noqa: E402
from show1_core.models.layout import lay_out  # noqa: E402
from show1_core.stages import Stage  # noqa: E402

STAGE_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}  # of a step in that type, of the norm
HAS_BF16 = (8, 0)  # compute capability from which cards do
SLOW = 1.5  # times as long as predicted


@dataclass(frozen=True)
class Where:
    """What is checked: device and dtype, the widths and sides of features, and the size of networks."""

    device: str
    dtype: torch.dtype
    channels: int
    side: int
    size: str

    def features(self, *shape: int) -> Tensor:
        """Random features, channels last: (N, C, H, W), or a clip (B, C, F, H, W) as a view of its frames."""
        last = (shape[0], *shape[2:], shape[1])
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(last, generator=generator).to(self.device, self.dtype)
        return x.movedim(-1, 1)

    def layer(self, made: nn.Module) -> nn.Module:
        """A layer with random weights, ready."""
        made = made.to(self.device, self.dtype).requires_grad_(False)
        lay_out(made, self.device)
        return made


CPU = Where("cpu", torch.float32, 32, 8, "mini")


def here() -> Where:
    """What is checked on this machine: its card in the half precision that it has, or the CPU."""
    if not torch.cuda.is_available():
        return CPU
    half = torch.bfloat16 if torch.cuda.get_device_capability() >= HAS_BF16 else torch.float16
    return Where("cuda", half, 320, 40, "published")


def inputs_of(where: Where) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A function's name and inputs, such as networks call it with."""
    channels, side = where.channels, where.side
    image, clip = where.features(16, channels, side, side), where.features(2, channels, 8, side, side)
    bias, affine = where.features(1, channels, 1)[0, :, 0], where.features(16, 2 * channels, 1)[..., 0].contiguous()
    norm = where.layer(GroupNorm(32, channels))
    over_time = where.layer(Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0)))
    yield "group_norm", (image, norm, "gelu", affine, bias)
    yield "group_norm", (clip, norm, "silu", None, bias)
    yield "convolution", (clip, over_time, None, False)
    yield "convolution", (image, where.layer(Conv2d(channels, 2 * channels, 1)), None, False)
    yield "convolution", (image, where.layer(Conv2d(channels, channels, 3, padding=1)), None, True)
    yield "residual_sum", (image, image * 0.5, bias, 1.4)
    yield "gated", (where.features(1, 8 * channels, side * side).movedim(1, -1).contiguous(),)
    tokens = clip.movedim(1, -1).flatten(2, 3).contiguous()
    yield "temporal_attention", (tokens, tokens * 0.5, tokens, channels // 8)


def exact(value: Any) -> Any:
    """The same in float32."""
    return copy.deepcopy(value).float() if isinstance(value, nn.Module) else value.float() if isinstance(value, Tensor) else value


@dataclass
class Report:
    """The text, what was wrong, and what memory did not hold."""

    lines: list[str]
    wrong: list[str]
    short: list[str] = field(default_factory=list)

    def add(self, name: str, difference: float, most: float, cells: str) -> None:
        """A line of something that was run."""
        right = difference <= most  # NaN is wrong
        self.lines.append(f"{name:32s} {'right' if right else 'WRONG'} {difference:8.1e}  {cells}")
        if not right:
            self.wrong.append(name)

    def result(self) -> str:
        """The last line."""
        short = f"there was not enough memory for {', '.join(self.short)}." if self.short else ""
        if self.wrong:
            return f"WRONG: {', '.join(self.wrong)}{'; ' + short if short else '.'}"
        return f"What ran is right; {short}" if short else "All of it is right."


def within_memory(name: str, report: Report, check: Callable[[], None]) -> None:
    """A check; where memory does not hold it, a row says so. What it has made is let go of."""
    try:
        check()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        report.lines.append(f"{name:32s} not enough memory")
        report.short.append(name)
    release()  # outside the handler: the error holds on to everything the check had made


def release() -> None:
    """Give memory back that nobody uses."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def check_function(function: Function, inputs: tuple[Any, ...], report: Report) -> None:
    """Every backend of a function on these inputs: right within rounding, and how long against eager."""
    eager, x = function.backends[-1], inputs[0]
    expected = eager.run(*map(exact, inputs))
    plain = seconds_of(lambda: eager.run(*inputs))
    reasons = explain(function, *inputs)
    for backend in function.backends[:-1]:
        label = f"{function.name} {backend.name} {'x'.join(map(str, x.shape))}"
        if reasons[backend.name]:
            if not reasons[backend.name][0].startswith(("conv.", "doubled")):  # another kind of convolution
                report.lines.append(f"{label:32s} not here: {reasons[backend.name][0]}")
            continue
        out = backend.run(*inputs).float()
        taken = seconds_of(lambda backend=backend: backend.run(*inputs))
        report.add(label, float((out - expected).norm() / expected.norm()), TOLERANCE[x.dtype],
                   f"{taken * 1e3:8.3f} ms, eager {plain * 1e3:8.3f} ms")


def exact_step(stage: Stage, where: Where) -> Tensor:
    """A guided step by eager functions in float32, of the weights that the stage has in its own type."""
    one = case(SIZES[where.size], stage, where.device, where.dtype)  # the same seed, so the same weights
    one.unet.float().dtype = torch.float32
    with use_backend("eager"):
        return replace(one, clip=one.clip.float(), text=one.text.float()).ours()()


def check_stage(stage: Stage, where: Where, card: Card | None, report: Report) -> None:
    """A guided step: against eager float32 by the same weights, its time beside what cost.py predicts, its memory."""
    expected = exact_step(stage, where)
    release()  # of two networks a small card holds one
    one = case(SIZES[where.size], stage, where.device, where.dtype)
    lay_out(one.unet, where.device)
    selection, step = Selection(Trials()), one.ours()
    with chosen_by(selection):
        difference = float((step().float() - expected).norm() / expected.norm())
        taken = measure.side_by_side({"ours": step}, where.device)["ours"]
    report.add(f"{stage.name} ({where.size})", difference, STAGE_TOLERANCE[where.dtype],
               f"{taken.seconds * 1e3:8,.0f} ms{prediction(stage, where, card, taken.seconds)}, "
               f"{taken.peak / 2**20:,.0f} MB beside the weights")
    report.lines.append(f"    {selection.summary()}")


def prediction(stage: Stage, where: Where, card: Card | None, taken: float) -> str:
    """What a card of the table was to take, and whether it took much longer; nothing for others."""
    if card is None:
        return ""
    with torch.inference_mode(False):  # in which some operations hide others from the count
        predicted = card.seconds((our_step if card.kernels else plain_step)(SIZES[where.size], stage))
    slow = f", SLOW: {taken / predicted:.1f} times as long" if taken > SLOW * predicted else ""
    return f", predicted {predicted * 1e3:,.0f} ms{slow}"


def card_of(name: str) -> Card | None:
    """The card of the table that this is, if it is one."""
    return next((card for card in CARDS if card.name.removeprefix("RTX ").split()[0] in name), None)


@torch.inference_mode()
def check(tell: Callable[[str], None] = print) -> int:
    """Everything; returns 0 when all was right, and tells a text of about one screen."""
    where, report = here(), Report([], [])
    card = card_of(torch.cuda.get_device_name()) if where.device == "cuda" else None
    tell(f"Show-1 self-test: {measure.machine(where.device)}, Triton {getattr(triton, '__version__', None) or 'not loaded'}, "
         f"{str(where.dtype).removeprefix('torch.')}")
    if where is CPU:
        tell("No card here that PyTorch can use: the CPU is checked, in the mini's size; nothing is predicted for it.")
    if OBSTACLE is not None:
        tell(OBSTACLE)
    for name, check_it in checks(where, card, report):
        within_memory(name, report, check_it)
        while report.lines:
            tell(report.lines.pop(0))
    tell(report.result())
    return 1 if report.wrong or report.short else 0


def checks(where: Where, card: Card | None, report: Report) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every check by name: each function on its inputs, then each stage."""
    functions = {function.name: function for function in FUNCTIONS}
    for name, inputs in inputs_of(where):
        shape = "x".join(map(str, inputs[0].shape))
        yield f"{name} {shape}", partial(check_function, functions[name], inputs, report)
    for stage in STAGES:
        yield f"{stage.name} ({where.size})", partial(check_stage, stage, where, card, report)
