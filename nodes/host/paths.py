"""Where the host keeps its files."""

from __future__ import annotations

from pathlib import Path

import folder_paths

PACK = Path(__file__).resolve().parents[2]


def register_folders() -> None:
    """Let the host look for Show-1 checkpoints in `models/show1`, and wherever the user's paths say."""
    folder_paths.add_model_folder_path("show1", str(Path(folder_paths.models_dir) / "show1"), is_default=True)
    folder_paths.folder_names_and_paths["show1"][1].update(folder_paths.supported_pt_extensions)


def folders(kind: str) -> list[Path]:
    """Where files of a kind lie, such as `text_encoders`; for `show1` the checkpoints that ship with the pack too."""
    shipped = [PACK / "models"] if kind == "show1" else []
    return [*map(Path, folder_paths.get_folder_paths(kind)), *shipped]


def files(kind: str) -> dict[str, Path]:
    """The host's list of files of a kind, by name."""
    return {name: Path(folder_paths.get_full_path_or_raise(kind, name)) for name in folder_paths.get_filename_list(kind)}
