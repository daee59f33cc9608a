"""Show-1's models and the cascade around them, without a host.

    pipe = show1_core.Pipeline.from_folder("models")
    clip = pipe("a red ball moving right", seed=0)      # clip.frames: (29, 320, 576, 3) in 0..1

`load_unet` gives one network; `cascade`, `sampling`, `schedule` and `stages` are the parts a run is made of.
"""

from .checkpoints import Checkpoint, CheckpointError, load_unet, read_checkpoint
from .pipeline import Pipeline, Result
from .recipe import Recipe, RecipeError

__all__ = ["Checkpoint", "CheckpointError", "Pipeline", "Recipe", "RecipeError", "Result", "load_unet", "read_checkpoint"]
