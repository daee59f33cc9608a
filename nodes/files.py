"""The files that the loaders offer: one that is missing, or of another kind, is told in a sentence with the way out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..show1_core.checkpoints import ForeignFile
from . import host
from .checks import counted

LOADED_BY: Mapping[str, str] = {  # by what a file is
    "a LoRA, which goes on top of a model": "the core LoraLoaderModelOnly", "a T5 text encoder": "Show-1 Text Encoder Loader",
    "a CLIP text encoder": "Show-1 Text Encoder Loader", "a VAE in the published layout": "Show-1 VAE Loader",
    "a VAE": "the core Load VAE", "a UNet of Show-1": "Show-1 Model Loader"}
MOST_NAMED = 12  # options that a sentence lists
# what the loaders offer when all is there: the word for scripts/download.py, and the repository at the hub
PUBLISHED: Mapping[str, tuple[str, str]] = {
    "show-1-base": ("base", "showlab/show-1-base"),
    "show-1-interpolation": ("interpolation", "showlab/show-1-interpolation"),
    "IF-II-L-v1.0": ("first-frame", "DeepFloyd/IF-II-L-v1.0"),
    "show-1-sr1": ("sr1", "showlab/show-1-sr1"),
    "show-1-sr2": ("sr2", "showlab/show-1-sr2"),
    "show-1-sr2/vae": ("sr2", "showlab/show-1-sr2"),
    "show-1-sr2/text_encoder": ("sr2", "showlab/show-1-sr2"),
    "show-1-base/text_encoder": ("t5", "showlab/show-1-base"),
}

PAGES: Mapping[str, str] = {"clip-vit-base-patch32": "openai/clip-vit-base-patch32"}  # folders of others, to be had whole


def missing(kind: str, name: str | None, found: Mapping[str, Path], folder: str) -> bool | str:
    """True when a combo's option is there, or the sentence the host shows before anything runs.

    The host shows it once for every input that `validate_inputs` names, so that each names the one that may be missing.
    None stands for an option not known yet: it comes from another node, or the host itself says that it is not given.
    """
    if name is None or name in list(found):
        return True
    there = counted(len(found), "other") if len(found) > MOST_NAMED else ", ".join(found) or "nothing"
    return f"{kind} {str(name)[:80]!r} is not there; {folder} has {there}. {way_to_get(str(name))}"


def way_to_get(name: str) -> str:
    """What to do about a missing file: for one of Show-1's, the command that downloads it and its page at the hub."""
    if name in PAGES:
        return f"Get all files of https://huggingface.co/{PAGES[name]} into a folder of that name there, then press R."
    if name not in PUBLISHED:
        return "Put the file or folder there and press R."
    word, repository = PUBLISHED[name]
    script, models = host.PACK / "scripts" / "download.py", host.models_folder()
    return f'Get it with: python "{script}" "{models}" --only {word} (https://huggingface.co/{repository}), then press R.'


def one_of(kind: str, name: str, found: Mapping[str, Path], folder: str) -> Path:
    """The path a combo's option stands for. Raises ValueError when the listing does not have it."""
    if name not in list(found):
        raise ValueError(missing(kind, str(name), found, folder))
    return found[name]


@contextmanager
def foreign_files_explained() -> Iterator[None]:
    """Inside, a file of another kind is refused with the node it belongs in. Raises ValueError."""
    try:
        yield
    except ForeignFile as error:
        place = LOADED_BY.get(error.what)
        raise ValueError(f"{error}" + (f" Load it with {place}." if place else "")) from error
