"""The only place that knows ComfyUI's internals: its models, samplers, text encoders, VAE, folders, progress.

Everything is composed from the host's own extension points; what differs between hosts is asked for, not assumed.
"""

from .colours import colours
from .context import context_window
from .dtypes import DTYPES
from .from_file import load_from_file
from .inversion import inverted
from .lora import load_lora
from .model import compile_blocks, identity_of, kind_of, load_model
from .networks import on_device
from .paths import PACK, Library, folders, models_folder, register_folders
from .samplers import SAMPLERS, SCHEDULERS
from .sampling import LARGEST_SEED, HostSample, conditioned, has_frames, previewer, progress_bar
from .text import encode_t5, load_text, masked_t5, over_time
from .training import text_of
from .tuning import Training, train
from .vae import decode, encode_posterior, has_posterior, load_vae

__all__ = [
    "colours", "compile_blocks", "conditioned", "context_window", "decode", "DTYPES", "encode_posterior", "encode_t5",
    "folders", "has_frames", "has_posterior", "HostSample", "identity_of", "inverted", "kind_of", "LARGEST_SEED", "Library",
    "load_from_file", "load_lora", "load_model", "load_text", "load_vae", "masked_t5", "models_folder", "on_device",
    "over_time", "PACK", "previewer", "progress_bar", "register_folders", "SAMPLERS", "SCHEDULERS", "text_of", "train",
    "Training",
]
