"""A video from a prompt, by the library alone.

    python -m show1_core "a red ball moving right" --models DIR --output FILE.mp4

DIR holds the published folders, or keyframes/ interpolation/ first-frame/ sr1/ sr2/. A recipe.json in it, or --recipe FILE,
says how the run is made; else it is the published run. What was learnt from a clip is drawn with by --lora, once for each
LoRA; each acts on the stage that learnt it.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from .pipeline import Pipeline
from .recipe import Recipe
from .stages import KEYFRAME_FPS, KEYFRAMES, STAGES
from .tuning.frames import spread
from .weights import read_json

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SUFFIXES = (".mp4", ".mkv", ".mov")  # containers that hold H.264


class Bars:
    """A progress bar for each stage, on the terminal."""

    def __init__(self) -> None:
        self.stage, self.bar = "", None

    def __call__(self, stage: str, step: int, steps: int, denoised: Tensor) -> None:
        if step == 0:  # a stage, or its next window
            self.close()
            self.stage, self.bar = stage, tqdm(total=steps, desc=stage, unit="step", leave=stage != self.stage)
        if self.bar is not None:
            self.bar.update()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def prepare_output(path: Path) -> None:
    """Make the folder of a video. Raises ValueError in one sentence for what cannot be a video's name."""
    if path.suffix.lower() not in SUFFIXES or path.is_dir():
        raise ValueError(f"--output is {path}; name a file that ends in {', '.join(SUFFIXES)}.")
    path.parent.mkdir(parents=True, exist_ok=True)


def write_video(path: Path, frames: Tensor, fps: float) -> None:
    """Frames (F, H, W, 3) in 0..1 as H.264. Raises ValueError in one sentence."""
    import av

    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=round(fps))
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            for frame in (frames * 255).round().byte().numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise ValueError(f"{path} could not be written ({error}); look at the disk's space.") from error


def read_evenly(path: Path, most: int) -> Tensor:
    """At most so many frames of a clip, evenly spread, (F, H, W, 3) in 0..1. Raises ValueError in one sentence."""
    from .frame_files import read

    return torch.from_numpy(read(path, lambda count: spread(count, most), resize=True)).float() / 255


def pipeline_of(chosen: argparse.Namespace, keyframes: int) -> Pipeline:
    """The cascade over a folder, with what was learnt. Raises ValueError in one sentence."""
    pipe = Pipeline.from_folder(chosen.models, DTYPES[chosen.dtype], chosen.device, chosen.t5_tokenizer, chosen.clip_tokenizer)
    for file, strength in chosen.lora:
        pipe = pipe.with_lora(file, strength_of(file, strength))
    return pipe if chosen.noise_of is None else pipe.with_noise_of(read_evenly(chosen.noise_of, keyframes), chosen.prior)


def strength_of(file: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"--lora {file} has strength {text!r}; expected a number, such as 1.") from error


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
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
    parser.add_argument("--lora", nargs=2, action="append", default=[], metavar=("FILE.safetensors", "STRENGTH"),
                        help="what a stage has learnt, and how strongly it acts: 1 as learnt; several add up")
    parser.add_argument("--noise-of", type=Path, metavar="FRAMES",
                        help="begin keyframes from the noise of a folder of pictures, or of a video: what was learnt")
    parser.add_argument("--prior", type=float, default=0.5, help="how much of that noise, 0 to 1")
    return parser


def draw(chosen: argparse.Namespace) -> None:
    """From the prompt to the file. Raises ValueError, RuntimeError or OSError in one sentence."""
    prepare_output(chosen.output)
    beside = chosen.models / "recipe.json"
    file = chosen.recipe or (beside if beside.is_file() else None)
    recipe = Recipe() if file is None else Recipe.from_dict(read_json(file))
    bars = Bars()
    try:
        with logging_redirect_tqdm():  # lines above the bar, not in it
            pipe = pipeline_of(chosen, recipe.keyframes.frames)
            result = pipe(chosen.prompt, chosen.seed, recipe, chosen.stop_after, bars)
    finally:
        bars.close()
    write_video(chosen.output, result.newest, KEYFRAME_FPS * (1 if chosen.stop_after == KEYFRAMES.name else 4))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    chosen = parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("show1_core").setLevel(logging.INFO)  # what a stage says of itself
    try:
        draw(chosen)
    except (ValueError, RuntimeError, OSError) as error:  # memory that ran out and NaN are RuntimeErrors
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
