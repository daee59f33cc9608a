"""Download the published checkpoints into a models folder: `download.py ComfyUI/models --only base,sr1`.

Nothing is downloaded that was not shown and agreed to. Interrupted, it goes on where it stopped; with all files in
place it does nothing and asks no network.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hub import files as hub
from hub.files import Remote, Repository
from terminal import Failure, guarded, say
from terminal.packages import use_library

SHOW1_LICENCE = "CC BY-NC 4.0: not for commercial use"
WEIGHTS, TEXT_WEIGHTS = "diffusion_pytorch_model", "(?:pytorch_)?model"
SCHEDULER, NOISING = "scheduler/scheduler_config.json", "image_noising_scheduler/scheduler_config.json"


@dataclass(frozen=True)
class Part:
    """A folder with a config.json and weights, whole or in shards, whose names begin with the pattern `stem`."""

    folder: str
    stem: str


@dataclass(frozen=True)
class Checkpoint:
    """What one word of --only stands for: which parts and configs of which repository, and on what terms."""

    repository: str
    about: str
    size: str
    parts: tuple[Part, ...]
    configs: tuple[str, ...] = ()
    licence: str = SHOW1_LICENCE

    @property
    def folder(self) -> str:
        return self.repository.split("/")[1]


CHECKPOINTS: dict[str, Checkpoint] = {
    "base": Checkpoint("showlab/show-1-base", "keyframes", "3.45 GB", (Part("unet", WEIGHTS),), (SCHEDULER,)),
    "interpolation": Checkpoint(
        "showlab/show-1-interpolation", "motion between keyframes", "3.45 GB", (Part("unet", WEIGHTS),), (SCHEDULER,)),
    "first-frame": Checkpoint(
        "DeepFloyd/IF-II-L-v1.0", "first frame four times larger", "2.49 GB", (Part("unet", WEIGHTS),), (SCHEDULER, NOISING),
        "DeepFloyd IF licence: for research, not for commercial use; to be accepted on the model's page"),
    "sr1": Checkpoint("showlab/show-1-sr1", "clip four times larger", "1.59 GB", (Part("unet", WEIGHTS),), (SCHEDULER, NOISING)),
    "sr2": Checkpoint(
        "showlab/show-1-sr2", "final size, with its CLIP and VAE", "3.67 GB",
        (Part("unet", WEIGHTS), Part("vae", WEIGHTS), Part("text_encoder", TEXT_WEIGHTS)), (SCHEDULER,)),
    "t5": Checkpoint(
        "showlab/show-1-base", "text encoder of the pixel stages; not needed beside a t5xxl file", "11.54 GB",
        (Part("text_encoder", TEXT_WEIGHTS),), licence="Apache 2.0, a copy of Google's T5 v1.1 XXL"),
}


@dataclass(frozen=True)
class Order:
    """One checkpoint's missing files, and the folder they go to."""

    checkpoint: Checkpoint
    repository: Repository
    folder: Path
    files: tuple[Remote, ...]

    @property
    def size(self) -> int:
        """Bytes still to come."""
        partials = [hub.partial_of(self.folder / remote.path, remote) for remote in self.files]
        arrived = sum(partial.stat().st_size for partial in partials if partial.is_file())
        return sum(remote.size for remote in self.files) - arrived


def main(arguments: list[str]) -> int:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    root: Path = chosen.models / "show1"
    if not chosen.models.is_dir():
        raise Failure(f"{chosen.models} is no folder; name the models folder of a ComfyUI.")
    names = chosen.only or without_a_second_t5(chosen.models)
    absent = [CHECKPOINTS[name] for name in names if not is_there(root / CHECKPOINTS[name].folder, CHECKPOINTS[name])]
    if not absent:
        say(f"everything is in {root} already")
        return 0
    use_library("huggingface_hub", "filelock")
    orders = [order(checkpoint, root, chosen.endpoint) for checkpoint in absent]
    show(orders)
    check_space(root.parent, orders)
    if not (chosen.yes or agreed()):
        say("nothing was downloaded")
        return 1
    root.mkdir(exist_ok=True)
    from filelock import FileLock

    with FileLock(root / ".download.lock"):
        for each in orders:
            carry_out(each)
    say(f"done: {root}")
    return 0


def without_a_second_t5(models: Path) -> list[str]:
    """Everything, but for the text encoder when ComfyUI has it already."""
    files = sorted((models / "text_encoders").glob("t5xxl*.safetensors"))
    if files:
        say(f"{files[0]} is the text encoder of the pixel stages; it is not downloaded again (--only t5 does)")
    return [name for name in CHECKPOINTS if not (files and name == "t5")]


def is_there(folder: Path, checkpoint: Checkpoint) -> bool:
    """Whether all files of a checkpoint lie in its folder. A download under way has another name."""
    weights = [weight_files((entry.name for entry in (folder / part.folder).glob("*")), part.stem) for part in checkpoint.parts]
    return all(weights) and all((folder / config).is_file() for config in configs(checkpoint))


def configs(checkpoint: Checkpoint) -> list[str]:
    """The JSON files of a checkpoint; its own parts' last, for a loader lists a folder when they are there."""
    return [*checkpoint.configs, *(f"{part.folder}/config.json" for part in checkpoint.parts)]


def order(checkpoint: Checkpoint, root: Path, endpoint: str | None) -> Order:
    """Ask the hub what a checkpoint lacks. Raises Failure when the hub does not have what is expected."""
    repository, folder = Repository(checkpoint.repository, endpoint), root / checkpoint.folder
    remotes, wanted = hub.listing(repository), []
    for part in checkpoint.parts:
        weights = weight_files((Path(path).name for path in remotes if Path(path).parent.as_posix() == part.folder), part.stem)
        wanted += [f"{part.folder}/{name}" for name in weights or ["weights"]]
    wanted += configs(checkpoint)
    lacking = [path for path in wanted if path not in remotes]
    if lacking:
        raise Failure(f"{checkpoint.repository} has no {lacking[0]} at the hub; look at {repository.page} for what it has now.")
    absent = [remotes[path] for path in wanted if not has_size(folder / path, remotes[path])]
    return Order(checkpoint, repository, folder, tuple(absent))


def has_size(file: Path, remote: Remote) -> bool:
    """Whether a file under its final name, which was checked when it came, is the one meant."""
    return file.is_file() and file.stat().st_size == remote.size


def weight_files(names: Iterable[str], stem: str) -> list[str]:
    """The one whole set of weights to take of those in a folder: half precision first, safetensors before pickles.

    The variant stands before or behind a shard's number, and before or behind an index's "index".
    """
    names = sorted(names)
    for variant in (r"\.fp16", ""):
        for ending in ("safetensors", "bin"):
            whole = matches(rf"{stem}{variant}\.{ending}", names)
            if whole:
                return [whole[0].string]
            index = matches(rf"{stem}(?:{variant}\.{ending}\.index|\.{ending}\.index{variant})\.json", names)
            count = r"-\d+-of-(\d+)"
            shards = matches(rf"{stem}(?:{variant}{count}|{count}{variant})\.{ending}", names)
            if index and shards and len(shards) == int(shards[0][1] or shards[0][2]):
                return [*(shard.string for shard in shards), index[0].string]
    return []


def matches(pattern: str, names: list[str]) -> list[re.Match[str]]:
    return [match for name in names if (match := re.fullmatch(pattern, name))]


def show(orders: list[Order]) -> None:
    """What would be downloaded, how large it is, and on what terms."""
    for each in orders:
        parts = ", ".join(part.folder for part in each.checkpoint.parts)
        say(f"{each.checkpoint.repository}: {each.checkpoint.about}\n"
            f"    {parts}: {each.size / 1e9:.2f} GB to {each.folder}\n"
            f"    {each.checkpoint.licence} ({each.repository.page})")
    say(f"together {sum(each.size for each in orders) / 1e9:.2f} GB")


def check_space(folder: Path, orders: list[Order]) -> None:
    """Raises Failure when the disk is too small for all of it."""
    free, needed = shutil.disk_usage(folder).free, sum(each.size for each in orders)
    if free < needed:
        raise Failure(f"{folder} has {free / 1e9:.2f} GB free, {needed / 1e9:.2f} GB are needed; make room, or take less "
                      "with --only.")


def agreed() -> bool:
    """Ask at the terminal. Raises Failure where nobody can answer."""
    if not sys.stdin.isatty():
        raise Failure("nobody is here to agree to the download and its licences; add --yes if you do.")
    print("Download it and accept these licences? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def carry_out(each: Order) -> None:
    """Download what an order names, but for what another process has brought meanwhile."""
    for remote in each.files:
        target = each.folder / remote.path
        if not has_size(target, remote):
            say(f"{each.checkpoint.folder}/{remote.path} ({remote.size / 1e9:.2f} GB)")
            hub.fetch(each.repository, remote, target)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in CHECKPOINTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(CHECKPOINTS)}")
    return names


def _address(text: str) -> str:
    if not re.match(r"https?://[^/]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address; expected one that begins with https://")
    return text.rstrip("/")


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:14} {entry.size:>8}  {entry.about}" for name, entry in CHECKPOINTS.items())
    parser = argparse.ArgumentParser(
        prog="download.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"what there is:\n{listed}")
    parser.add_argument("models", type=Path, metavar="MODELS_DIR", help="the models folder of a ComfyUI")
    parser.add_argument("--only", type=_names, metavar="NAMES", help="some of the below, by commas")
    parser.add_argument("--endpoint", type=_address, metavar="URL",
                        help="a mirror of the hub; it is shown your hub token if you are logged in")
    parser.add_argument("--yes", action="store_true", help="agree to the download and its licences without being asked")
    return parser


if __name__ == "__main__":
    guarded(main)
