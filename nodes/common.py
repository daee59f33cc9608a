"""What the stage nodes share: the sampler widgets, the run they describe, and its picture while it goes on."""

from __future__ import annotations

import inspect
import time
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..show1_core.cascade import Sample
from ..show1_core.checkpoints import Identity
from ..show1_core.stages import Stage
from . import checks, host
from .run import Run
from .sheets import Colours, contact_sheet

CATEGORY = "Show-1"
PREVIEW_SECONDS = 0.2


def search_words(*words: str) -> dict[str, Any]:
    """Further words that find a node in the search, for a schema that has room for them."""
    return {"search_aliases": list(words)} if "search_aliases" in inspect.signature(io.Schema.__init__).parameters else {}


def advanced(field: Any) -> Any:
    """An input for the few: newer frontends hide it until it is asked for."""
    if hasattr(field, "extra_dict"):
        field.extra_dict = {**field.extra_dict, "advanced": True}
    return field


class SamplerNode(io.ComfyNode):
    """A node that runs a stage. A sampler that is not there is told before anything runs, by one input's check alone."""

    @classmethod
    def validate_inputs(cls, sampler_name: str | None = None) -> bool | str:
        known = sampler_name is None or sampler_name in host.SAMPLERS  # None: another node gives it
        return known or checks.unknown("sampler_name", sampler_name, host.SAMPLERS)


def model_inputs(stage: Stage) -> list[Any]:
    """MODEL and text, first in every stage node."""
    return [
        io.Model.Input("model", tooltip=f"From Show-1 Model Loader: {stage.title} ({stage.checkpoint})."),
        io.Conditioning.Input("positive", tooltip="The prompt, encoded."),
        io.Conditioning.Input("negative", tooltip="What guidance steers away from, encoded; empty text in the official run."),
    ]


def seed_input() -> Any:
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                        tooltip="Same seed, same noise, on every machine. The official run gives all stages the same seed.")


def strength_inputs(stage: Stage) -> list[Any]:
    """Steps and guidance, at the published values."""
    return [
        io.Int.Input("steps", default=stage.steps, min=1, max=1000,
                     tooltip=f"Official: {stage.steps}. Fewer are faster and rougher; the few-step template: {stage.few_steps}."),
        io.Float.Input("cfg", default=stage.guidance, min=1.0, max=100.0, step=0.1,
                       tooltip=f"How strongly the prompt is followed. Official: {stage.guidance:g}."),
    ]


def size_inputs() -> list[Any]:
    """Width and height of keyframes, in pixels."""
    return [io.Int.Input("width", default=64, min=8, max=512, step=8, tooltip="Trained on 64."),
            io.Int.Input("height", default=40, min=8, max=512, step=8, tooltip="Trained on 40.")]


def sampler_inputs() -> list[Any]:
    """Which sampler and schedule; `published` is the official run, whatever else is a core one."""
    return [
        io.Combo.Input("sampler_name", options=host.SAMPLERS, default="published",
                       tooltip="published: the official sampler of this stage, to the end point. Or any core sampler."),
        io.Combo.Input("scheduler", options=host.SCHEDULERS, default="published",
                       tooltip="published: the official timesteps. Or any core scheduler."),
    ]


def denoise_input() -> Any:
    return io.Float.Input("denoise", default=1.0, min=0.01, max=1.0, step=0.01, optional=True,
                          tooltip="1: drawn anew. Below 1: what came in is kept in part and redrawn.")


def noise_level_input(stage: Stage) -> Any:
    return io.Int.Input("noise_level", default=stage.noise_level, min=0, max=999,
                        tooltip=f"Timestep to which the enlarged frames are noised before the model sees them. Official: "
                                f"{stage.noise_level}. Higher invents more, lower keeps more.")


def checked(run: Run, stage: Stage) -> Identity:
    """Refuse a run before it starts. Raises ValueError in one sentence; returns what the model is."""
    checks.choice("sampler_name", run.sampler_name, host.SAMPLERS)
    checks.choice("scheduler", run.scheduler, host.SCHEDULERS)
    identity = checks.stage_model(run.model, stage)
    if run.sampler_name == "published" and run.scheduler != "published" and identity.schedule.solver == "ddpm":
        raise ValueError(f"scheduler is {run.scheduler!r}; the published sampler of {stage.title} has timesteps of its own. "
                         "Set scheduler to published too, or take a core sampler.")
    checks.text(run.positive, "positive", identity)
    checks.text(run.negative, "negative", identity)
    return identity


def sampling(run: Run, windows: int = 1, colours: Colours | None = None) -> Sample:
    """The host's sampling of this run, with one progress bar over all windows; `colours` are those of a latent stage's VAE."""
    return host.HostSample(run, Progress(run.model, windows, colours), windows)


def pixels_as_they_are(clip: Tensor) -> Tensor:
    """The colours of a clip in pixel space."""
    return clip


class Progress:
    """One bar over all windows of a stage, with a picture of the clip as it stands when the user wants previews."""

    def __init__(self, model: Any, windows: int, colours: Colours | None = None) -> None:
        self.bar, self.previewer = host.progress_bar(windows), host.previewer(model)
        self.coloured = pixels_as_they_are if model.model.latent_format.latent_channels == 3 else colours
        self.windows, self.done, self.shown = windows, 0, 0.0

    def __call__(self, step: int, x0: Tensor, x: Tensor, steps: int) -> None:
        self.done += 1
        self.bar.update_absolute(self.done, self.windows * steps, self.picture(x0))

    def picture(self, x0: Tensor) -> Any:
        """The preview of x0, at most five a second: all frames where their colours are known, else the host's own."""
        if self.previewer is None or time.monotonic() - self.shown < PREVIEW_SECONDS:
            return None
        self.shown = time.monotonic()
        if self.coloured is not None:
            return ("JPEG", contact_sheet(self.coloured(x0)), None)
        return self.previewer.decode_latent_to_preview_image("JPEG", x0[:, :, 0])  # its decoders take pictures
