"""Whether the take that the scorer ranks first is right more often than any take: Show-1 mini's keyframes of two solids.

    python benchmarks/ranking.py --tokenizer DIR [--prompts 64] [--takes 8] [--steps 5] [--guidance 5] [--output DIR]

DIR holds T5's tokenizer.json. Takes are drawn roughly: as it ships the mini is always right. Every prompt's
takes are drawn, scored as Show-1 Rank Drafts scores them, and judged: `every` counts takes that show all that the prompt says
and nothing else, `pair` those with both forms in their colours. The interval is of the difference, over prompts. Takes are kept
in the output folder, those of other weights, steps or guidance apart, so that the command goes on after a kill; the figures go
to benchmarks/ranking.json, with what they are of.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
REPO = BENCHMARKS.parent
sys.path[:0] = [str(REPO), str(BENCHMARKS)]

import judge  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from mini.evaluate import Mini, to_bytes  # noqa: E402
from mini.grammar import judged_prompts  # noqa: E402
from mini.settings import SETTINGS  # noqa: E402
from show1_core import cascade  # noqa: E402
from show1_core.evaluation.clip import ClipScorer  # noqa: E402
from show1_core.evaluation.networks import digest  # noqa: E402
from show1_core.evaluation.scores import similarity  # noqa: E402

MINI = REPO / "models" / "show1-mini"
RESAMPLED = 10_000  # times, for the interval
LEVEL = 0.95


@dataclass(frozen=True)
class Ranked:
    """A prompt's takes in the order they were drawn: scores, whether all the judge sees is right, and whether the pair is.

    The pair is right where both forms are there in their colours, wherever they are and whatever moves.
    """

    prompt: str
    scores: tuple[float, ...]
    every: tuple[bool, ...]
    pair: tuple[bool, ...]


@dataclass(frozen=True)
class Figures:
    """Shares in [0, 1]: right takes picked blindly and by score, the gain and its 95 % interval, prompts with any right take."""

    prompts: int
    takes: int
    random: float
    top: float
    gain: float
    gain_from: float
    gain_to: float
    possible: float

    def __str__(self) -> str:
        return (f"{self.prompts} prompts, {self.takes} takes: a random take is right {self.random:.1%}, the top one "
                f"{self.top:.1%}; gain {self.gain:.1%}, 95 % interval {self.gain_from:.1%} to {self.gain_to:.1%}; "
                f"some take is right {self.possible:.1%}")


def figures(scores: np.ndarray, right: np.ndarray, seed: int = 0) -> Figures:
    """Scores and verdicts (P, N) of all takes; the interval is of prompts drawn again with replacement (Efron's percentiles)."""
    count, takes = scores.shape
    top, blind = right[np.arange(count), scores.argmax(axis=1)], right.mean(axis=1)
    gains = top - blind
    again = np.random.default_rng(seed).integers(count, size=(RESAMPLED, count))
    low, high = np.quantile(gains[again].mean(axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Figures(count, takes, random=float(blind.mean()), top=float(top.mean()), gain=float(gains.mean()),
                   gain_from=float(low), gain_to=float(high), possible=float(right.any(axis=1).mean()))


@dataclass(frozen=True)
class Drawn:
    """What takes depend on: which prompts and noises, how they are sampled, and the SHA-256 of the weights that draw."""

    seed: int
    steps: int
    guidance: float
    weights: str

    @property
    def folder(self) -> str:
        return f"seed-{self.seed}-steps-{self.steps}-guidance-{self.guidance:g}-weights-{self.weights[:12]}"


def weights_of(models: Path) -> str:
    """One SHA-256 for the keyframes' network and their text encoder, which alone draw takes."""
    parts = [digest(models / "keyframes" / part) for part in ("text_encoder", "unet")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def takes_of(mini: Mini, prompt: str, count: int, file: Path, seed: int) -> np.ndarray:
    """Takes (N, F, H, W, 3) in uint8, from the file if it holds so many."""
    if file.is_file() and len(kept := np.load(file)) == count:
        return kept
    clips = mini.keyframes([prompt] * count, seed)
    drawn = np.stack([to_bytes(cascade.to_images(clip[None])) for clip in clips])
    part = file.with_suffix(".part.npy")
    np.save(part, drawn)
    part.replace(file)
    return drawn


def ranked(scorer: ClipScorer, prompt: str, takes: np.ndarray) -> Ranked:
    """Scores and verdicts of a prompt's takes."""
    text = scorer.texts([prompt])[0]
    scores = [similarity(scorer.frames(torch.from_numpy(take).float() / 255), text) for take in takes]
    asked, seen = judge.claim_of(prompt), [judge.judge(take) for take in takes]
    return Ranked(prompt, tuple(scores), tuple(each == asked for each in seen),
                  tuple(judge.bound(each) == judge.bound(asked) for each in seen))


def measured(chosen: argparse.Namespace, drawn: Drawn) -> list[Ranked]:
    """Every prompt's takes, drawn or kept, scored and judged."""
    sampling = replace(SETTINGS["keyframes"], steps=drawn.steps, guidance=drawn.guidance)
    mini = Mini(chosen.models, chosen.tokenizer, {**SETTINGS, "keyframes": sampling})
    folder, scorer, found = chosen.output / drawn.folder, ClipScorer.from_folder(chosen.scorer), []
    folder.mkdir(parents=True, exist_ok=True)
    for number, prompt in enumerate(judged_prompts(chosen.prompts, seed=drawn.seed, two=True)):
        began = time.monotonic()
        takes = takes_of(mini, prompt, chosen.takes, folder / f"{number}.npy", number)
        found.append(ranked(scorer, prompt, takes))
        print(f"{prompt}: all right in {sum(found[-1].every)} of {len(takes)}, the pair in {sum(found[-1].pair)}; "
              f"{time.monotonic() - began:.0f} s", flush=True)
    return found


def text_of(drawn: Drawn, scorer: str, results: dict[str, Figures], found: list[Ranked]) -> str:
    """The file of figures, a line a prompt; `scorer` is the SHA-256 of its weights."""
    about = {**asdict(drawn), "scorer": scorer, **{part: asdict(result) for part, result in results.items()}}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in about.items()]
    rows = ",\n".join(json.dumps(asdict(each)) for each in found)
    return "{\n" + ",\n".join([*lines, f'"prompts": [\n{rows}\n]']) + "\n}\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tokenizer", type=Path, required=True, help="folder with T5's tokenizer.json")
    add("--models", type=Path, default=MINI, help="folder of the mini")
    add("--scorer", type=Path, default=MINI / "scorer", help="folder of the CLIP that ranks")
    add("--prompts", type=int, default=64)
    add("--takes", type=int, default=8)
    add("--steps", type=int, default=5, help="of a take (default 5, fewer than the mini comes with)")
    add("--guidance", type=float, default=5.0, help="of a take (default 5: with the mini's own every take is right)")
    add("--seed", type=int, default=11, help="which prompts, of all that there are")
    add("--output", type=Path, default=REPO / "output" / "ranking", help="where takes are kept")
    add("--figures", type=Path, default=BENCHMARKS / "ranking.json")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    drawn = Drawn(chosen.seed, chosen.steps, chosen.guidance, weights_of(chosen.models))
    found = measured(chosen, drawn)
    scores = np.array([each.scores for each in found])
    results = {part: figures(scores, np.array([getattr(each, part) for each in found])) for part in ("every", "pair")}
    chosen.figures.write_text(text_of(drawn, digest(chosen.scorer), results, found), encoding="utf-8")
    for part, result in results.items():
        print(f"{part}: {result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
