"""Where the host keeps its files, and what of them the loaders offer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import folder_paths

from ...show1_core.library import KnownFiles, part_names, unet_names
from ...show1_core.weights import is_safetensors

PACK = Path(__file__).resolve().parents[2]
SECONDS = 0.3  # for which a listing is good: the host asks several times a prompt and loader, all at once


class Library:
    """What the loaders offer, by option. No file is opened twice, and no folder read twice for one prompt."""

    def __init__(self) -> None:
        self._known, self._listed = KnownFiles(), {}

    def models(self) -> dict[str, Path]:
        """UNets: published folders, converted files, the cascade that ships with the pack."""
        return self._recent("models", lambda: {
            **unet_names(folders("diffusion_models"), self._known), **unet_names(folders("show1"), self._known)})

    def text_encoders(self) -> dict[str, Path]:
        """Text encoders: published folders, and the host's single files."""
        return self._recent("text_encoders", lambda: {
            **part_names(folders("show1"), "text_encoder"), **files("text_encoders")})

    def vaes(self) -> dict[str, Path]:
        """Published VAE folders."""
        return self._recent("vaes", lambda: part_names(folders("show1"), "vae"))

    def loras(self) -> dict[str, Path]:
        """The host's LoRAs, of the kind that carries nothing but tensors."""
        return self._recent("loras", lambda: {
            name: path for name, path in files("loras").items() if is_safetensors(path.name)})

    def _recent(self, what: str, listed: Callable[[], dict[str, Path]]) -> dict[str, Path]:
        """What was listed a moment ago, or is now."""
        until, found = self._listed.get(what, (0.0, {}))
        if time.monotonic() > until:
            found = listed()
            self._listed[what] = time.monotonic() + SECONDS, found
        return found


def models_folder() -> Path:
    """The host's folder of models."""
    return Path(folder_paths.models_dir)


def register_folders() -> None:
    """Let the host look for Show-1 checkpoints in `models/show1`, and wherever the user's paths say."""
    folder_paths.add_model_folder_path("show1", str(models_folder() / "show1"), is_default=True)
    folder_paths.folder_names_and_paths["show1"][1].update(folder_paths.supported_pt_extensions)


def folders(kind: str) -> list[Path]:
    """Where files of a kind lie, such as `text_encoders`; for `show1` the checkpoints that ship with the pack too."""
    shipped = [PACK / "models"] if kind == "show1" else []
    return [*map(Path, folder_paths.get_folder_paths(kind)), *shipped]


def files(kind: str) -> dict[str, Path]:
    """The host's list of files of a kind, by name."""
    found = {name: folder_paths.get_full_path(kind, name) for name in folder_paths.get_filename_list(kind)}
    return {name: Path(path) for name, path in found.items() if path is not None}  # a link may lead nowhere
