"""Show-1's models and the cascade around them, without a host.

    pipe = show1_core.Pipeline.from_folder("models")
    clip = pipe("a red ball moving right", seed=0)      # clip.frames: (29, 320, 576, 3) in 0..1

`load_unet` gives one network; `cascade`, `sampling`, `schedule` and `stages` are the parts a run is made of. A name's module
is loaded when it is first asked for: parts that do without PyTorch then start without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoints import Checkpoint, CheckpointError, load_unet, read_checkpoint
    from .pipeline import Pipeline, Result
    from .recipe import Recipe, RecipeError

__all__ = ["Checkpoint", "CheckpointError", "Pipeline", "Recipe", "RecipeError", "Result", "load_unet", "read_checkpoint"]
MODULES = {"Pipeline": "pipeline", "Result": "pipeline", "Recipe": "recipe", "RecipeError": "recipe"}  # checkpoints: all others


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # to a type checker it would say that every name exists
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{MODULES.get(name, 'checkpoints')}", __name__), name)
