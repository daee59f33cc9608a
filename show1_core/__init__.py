"""Show-1's models and the cascade around them, without a host.

Import from the modules: `models` (the UNets), `checkpoints` (files), `stages` (the published recipe as data),
`schedule` (noise), `cascade` (what happens between the models).
"""

from .checkpoints import Checkpoint, CheckpointError, load_unet, read_checkpoint

__all__ = ["Checkpoint", "CheckpointError", "load_unet", "read_checkpoint"]
