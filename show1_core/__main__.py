"""A video from a prompt, by the library alone.

    python -m show1_core "a red ball moving right" --models DIR --output FILE.mp4

DIR holds the published folders, or keyframes/ interpolation/ first-frame/ sr1/ sr2/. A recipe.json in it, or --recipe FILE,
says how the run is made; else it is the published run.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import Tensor

from .pipeline import Pipeline
from .recipe import Recipe
from .stages import KEYFRAME_FPS, KEYFRAMES, STAGES
from .weights import read_json

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Bars:
    """A progress bar for each stage, on the terminal."""

    def __init__(self) -> None:
        self.stage, self.bar = "", None

    def __call__(self, stage: str, step: int, steps: int, denoised: Tensor) -> None:
        from tqdm import tqdm

        if step == 0:  # a stage, or its next window
            self.close()
            self.stage, self.bar = stage, tqdm(total=steps, desc=stage, unit="step", leave=stage != self.stage)
        if self.bar is not None:
            self.bar.update()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def write_video(path: Path, frames: Tensor, fps: float) -> None:
    """Frames (F, H, W, 3) in 0..1 as H.264."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(fps))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in (frames * 255).round().byte().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m show1_core", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt")
    parser.add_argument("--models", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.mp4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=Path, metavar="FILE.json")
    parser.add_argument("--stop-after", choices=[stage.name for stage in STAGES], default=STAGES[-1].name)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--t5-tokenizer", type=Path, metavar="DIR", help="if there is none beside the text encoder")
    parser.add_argument("--clip-tokenizer", type=Path, metavar="DIR", help="the same for the latent stage's")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("show1_core").setLevel(logging.INFO)  # what a stage says of itself
    bars = Bars()
    try:
        beside = chosen.models / "recipe.json"
        file = chosen.recipe or (beside if beside.is_file() else None)
        recipe = Recipe() if file is None else Recipe.from_dict(read_json(file))
        pipe = Pipeline.from_folder(chosen.models, DTYPES[chosen.dtype], chosen.device, chosen.t5_tokenizer,
                                    chosen.clip_tokenizer)
        result = pipe(chosen.prompt, chosen.seed, recipe, chosen.stop_after, bars)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        bars.close()
    write_video(chosen.output, result.newest, KEYFRAME_FPS * (1 if chosen.stop_after == KEYFRAMES.name else 4))
    print(chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
