"""Learn the motion or the style of a clip: `train_motion.py FRAMES "a cat is roaring" --model DIR --output cat.safetensors`.

FRAMES is a folder of pictures, in the order of the numbers in their names. The file is a LoRA for ComfyUI's core loaders and
for this command: with --resume it goes on. Ctrl+C stops and keeps what has been learnt.

Which stage learns is what --model says: the keyframe model (motion, or a style), or that of a later stage, which learns a
style from frames as it should make them: with --loss noise --train "spatial attention".
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from terminal import Failure, guarded, not_negative, positive, say
from terminal.packages import use_library

if TYPE_CHECKING:
    from torch import Tensor

    from show1_core.tuning.examples import Encode
    from show1_core.tuning.lora_files import Record
    from show1_core.tuning.motion import Plan, Tuner

REPORT_EVERY = 20  # steps


def main(arguments: list[str]) -> int:
    """The command line."""
    use_library("torch", "numpy", "av", "PIL", "einops", "safetensors", "transformers", "diffusers")
    chosen = _parser().parse_args(arguments)
    refuse_output(chosen.output, chosen.resume, chosen.force)
    from safetensors import SafetensorError

    try:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        tuner, record = prepared(chosen)
        learn(tuner, len(record.losses) + chosen.steps, chosen.output, record)
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:  # of the library, each one sentence; of the disk
        raise Failure(str(error)) from error
    return 0


def refuse_output(output: Path, resume: Path | None, force: bool) -> None:
    """Raises Failure for a name that is no LoRA's, and for a file that is there, unless training goes on from it."""
    if output.suffix != ".safetensors" or output.is_dir():
        raise Failure(f"--output is {output}; name a file that ends in .safetensors.")
    if output.exists() and not force and (resume is None or resume.resolve() != output.resolve()):
        raise Failure(f"{output} is there already; give another name, --resume {output} to go on, or --force to replace it.")


def prepared(chosen: argparse.Namespace) -> tuple[Tuner, Record]:
    """Model, text, frames and adapters, put together. Raises Failure, ValueError or RuntimeError in one sentence."""
    import torch

    from show1_core import load_unet
    from show1_core.checkpoints import read_identity
    from show1_core.schedule import signal_variance
    from show1_core.tuning import examples, lora_files, motion

    identity = read_identity(chosen.model)
    examples.check_loss(identity, chosen.loss)
    frames = read_frames(chosen.frames)
    example = examples.example_of(identity, frames.flip(0) if chosen.reverse else frames, text_of(chosen), encoder_of(chosen))
    unet = load_unet(chosen.model, getattr(torch, DTYPES[chosen.dtype]), chosen.device)
    plan = plan_of(chosen)
    new = lora_files.new_record(identity, unet, plan, chosen.prompt, example.clip)
    tensors, before = lora_files.read(chosen.resume) if chosen.resume else ({}, lora_files.Record())
    if sentence := lora_files.different_base(before, new.base):
        say(f"Note: {sentence}")
    made = lora_files.adapters_to_train(tensors, unet, plan)
    network = motion.of_library(unet, signal_variance(identity.schedule))
    record = replace(new, rank=made.rank, losses=before.losses)
    return motion.Tuner(network, made, example, plan, before.losses), record


def text_of(chosen: argparse.Namespace) -> Tensor:
    """States (1, 77, D) of the prompt, by the T5 or the CLIP of a folder. Raises Failure when a folder is not there."""
    import torch

    from show1_core import texts
    from show1_core.weights import read_json

    folder, tokenizer = (given or chosen.model / name for given, name in (
        (chosen.text_encoder, "text_encoder"), (chosen.tokenizer, "tokenizer")))
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder; give --text-encoder that of T5, such as show-1-base/text_encoder.")
    if not tokenizer.is_dir():
        raise Failure(f"{tokenizer} is no folder; give --tokenizer the folder of the text encoder's tokenizer.json, for T5 such "
                      "as ComfyUI/comfy/text_encoders/t5_tokenizer.")
    clip = "clip" in str(read_json(folder / "config.json").get("model_type"))
    encode = texts.encode_clip if clip else texts.encode_t5
    return encode(folder, tokenizer, [chosen.prompt], torch.float32, "cpu")


def encoder_of(chosen: argparse.Namespace) -> Encode | None:
    """What takes frames to latents, by the VAE of a folder; None where there is none."""
    from show1_core.pipeline import encoded, load_vae

    folder = chosen.vae or chosen.model / "vae"
    if chosen.vae is None and not folder.is_dir():
        return None
    return partial(encoded, load_vae(folder))


def plan_of(chosen: argparse.Namespace) -> Plan:
    """What of the command line says how training goes."""
    from show1_core.tuning.motion import Plan

    return Plan(**{field.name: getattr(chosen, field.name) for field in fields(Plan) if hasattr(chosen, field.name)})


def learn(tuner: Tuner, last: int, output: Path, record: Record) -> None:
    """Steps up to the last; the file is written however that ends, once a step has been done."""
    from show1_core.digests import sha256_of
    from show1_core.tuning.lora_files import save

    try:
        while tuner.step < last:
            loss = tuner.advance()
            if tuner.step % REPORT_EVERY == 0 or tuner.step == last:
                say(f"step {tuner.step} of {last}, loss {loss:.4f}")
    finally:
        if tuner.step > len(record.losses):
            save(output, tuner.adapters, replace(record, steps=tuner.step, losses=tuple(tuner.losses)))
            say(f"wrote {output}: {tuner.step} steps, {output.stat().st_size / 1e6:.1f} MB, sha256 {sha256_of(output)[:16]}")


def read_frames(folder: Path) -> Tensor:
    """Pictures of a folder, (F, H, W, 3) in 0..1; all as large as the first. Raises Failure, or ValueError for a damaged one."""
    import torch

    from show1_core.frame_files import read

    if not folder.is_dir():
        raise Failure(f"{folder} is no folder; expected one of pictures, such as 001.png, 002.png.")
    return torch.from_numpy(read(folder, resize=True)).float() / 255


DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def _parser() -> argparse.ArgumentParser:
    from show1_core.tuning.adapters import SETS
    from show1_core.tuning.motion import LOSSES, Plan

    plan = Plan()
    parser = argparse.ArgumentParser(prog="train_motion.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, metavar="FRAMES", help="a folder of pictures; of more than 8 keyframes, 8 are taken")
    parser.add_argument("prompt", help="what the clip shows and does: for a motion without place and colours, for a style with "
                                       "its name")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="show-1-base, or models/show1-mini/keyframes; "
                                                                                 "for a style also that of any other stage")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.safetensors")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="tokenizer/ in the model's folder unless given")
    parser.add_argument("--text-encoder", type=Path, metavar="DIR", help="text_encoder/ in the model's folder unless given")
    parser.add_argument("--vae", type=Path, metavar="DIR", help="for sr2; vae/ in the model's folder unless given")
    parser.add_argument("--steps", type=positive, default=plan.steps)
    parser.add_argument("--learning-rate", type=float, default=plan.learning_rate)
    parser.add_argument("--rank", type=not_negative, default=plan.rank, help="0: whole matrices")
    parser.add_argument("--train", choices=SETS, default=plan.train)
    parser.add_argument("--loss", choices=LOSSES, default=plan.loss)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--reverse", action="store_true", help="learn from the frames backwards")
    parser.add_argument("--checkpointing", action="store_true", help="take less memory and a third more time")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="a LoRA to go on from")
    parser.add_argument("--force", action="store_true", help="replace the output if it is there")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    guarded(main)
