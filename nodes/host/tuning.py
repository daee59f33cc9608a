"""A training as a node runs it: from its inputs to a LoRA, with progress, and what was learnt kept when the user cancels."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
from torch import Tensor

from ...show1_core.tuning.adapters import Adapters
from ...show1_core.tuning.examples import Example
from ...show1_core.tuning.lora_files import (
    Record,
    adapters_to_train,
    different_base,
    hash_of,
    new_record,
    read,
    record_in,
    save,
    tensors_of,
    with_record,
)
from ...show1_core.tuning.motion import Network, Plan, Tuner, drawn
from ..sheets import contact_sheet
from .training import learning
from .training_progress import Told

PREVIEW_STEPS = 10
UNKEYED = ("steps", "learning_rate")  # of a plan: what may change before a stopped training goes on


@dataclass(frozen=True)
class Training:
    """What the user set. The model is the host's; lora is what a training made before, to go on from."""

    model: Any
    example: Example
    prompt: str
    plan: Plan
    lora: Mapping[str, Tensor] | None = None
    preview_every: int = 0


@dataclass(frozen=True)
class Learnt:
    """A LoRA under the names that the host's loaders know, and the loss of every step so far."""

    tensors: dict[str, Tensor]
    losses: list[float]


def train(training: Training) -> Learnt:
    """Train. Raises ValueError or RuntimeError in one sentence; what had been learnt then waits for the next run."""
    with learning(training.model, training.example.shape) as network:
        example, plan = training.example.ordinary(), training.plan
        record = new_record(training.model.model.show1, network.unet, plan, training.prompt, example.clip)
        file = kept_file(key_of(training, record))
        adapters, losses, before = started(training, network, file)
        tuner = Tuner(network, adapters, example, replace(plan, checkpointing=network.device.type != "cpu"), losses)

        def now() -> Record:
            return replace(record, steps=tuner.step, rank=adapters.rank, losses=tuple(round(loss, 6) for loss in tuner.losses))

        with kept(file, lambda: save(file, adapters, now())):
            steps(tuner, before + plan.steps, training, warned(training.lora, record.base))
        return Learnt(with_record(tensors_of(adapters), now()), tuner.losses)


def started(training: Training, network: Network, file: Path) -> tuple[Adapters, tuple[float, ...], int]:
    """Adapters to go on from or new ones, their losses so far, and how many steps the user's own LoRA had.

    What a stopped run has kept in `file` comes first. Nothing of the file stays open. Raises ValueError for what does not fit.
    """
    tensors, before = origin(training.lora)
    record = before
    if file.is_file():
        tensors, record = read(file)
    return adapters_to_train(tensors, network.unet, training.plan), record.losses, len(before.losses)


def steps(tuner: Tuner, last: int, training: Training, warnings: Sequence[str] = ()) -> None:
    """Steps up to the last, each told to the host, which raises its own exception once the user has cancelled."""
    bar, told = comfy.utils.ProgressBar(last), Told(tuner.step, last, warnings)
    while tuner.step < last:
        tuner.advance()
        every = training.preview_every
        picture = preview(tuner, training) if every and tuner.step % every == 0 else None
        bar.update_absolute(tuner.step, last, picture)
        told(tuner.losses)


def preview(tuner: Tuner, training: Training) -> Any:
    """What the prompt looks like by now, without guidance, as one picture; None in latent space, which is no picture."""
    if tuner.example.clip.shape[1] != 3:
        return None
    schedule = training.model.model.show1.schedule
    return "JPEG", contact_sheet(drawn(tuner.network, tuner.adapters, tuner.example, schedule, PREVIEW_STEPS)), None


def origin(lora: Mapping[str, Tensor] | None) -> tuple[Mapping[str, Tensor], Record]:
    """What the user gives to go on from, and its record; nothing when there is nothing."""
    return ({}, Record()) if lora is None else (lora, record_in(lora))


def warned(lora: Mapping[str, Tensor] | None, base: str) -> list[str]:
    """What is to be said of the LoRA to go on from, in the log now and on the node while it goes on."""
    sentence = different_base(origin(lora)[1], base)
    if sentence is None:
        return []
    logging.warning("Show-1: %s", sentence)
    return [sentence]


def key_of(training: Training, record: Record) -> str:
    """A name for what is learnt from what: equal for runs that may go on from each other."""
    plan = {name: value for name, value in asdict(training.plan).items() if name not in UNKEYED}
    lora = "" if training.lora is None else "".join(f"{name}{hash_of(value)}" for name, value in sorted(training.lora.items()))
    text = hash_of(training.example.text)
    return hashlib.sha256(repr((record.base, record.frames, text, plan, lora)).encode()).hexdigest()[:24]


def kept_file(key: str) -> Path:
    """Where what a stopped training had learnt waits for the next run, until the host clears its temporary folder."""
    return Path(folder_paths.get_temp_directory()) / "show1-training" / f"{key}.safetensors"


@contextmanager
def kept(file: Path, write: Callable[[], None]) -> Iterator[None]:
    """What is learnt inside is written when that ends by an error or the user's cancel, and not needed when it ends well."""
    done = False
    try:
        yield
        done = True
    finally:
        if done:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            write()
            logging.info("Show-1: training was stopped; what it has learnt is kept, and a run with the same inputs goes on.")
