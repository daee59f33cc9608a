"""A LoRA from a file, to go on training from, or for a MODEL."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import checks, common, files, host
from .loaders import LIBRARY
from .motion import LORA

LORAS = "models/loras"


class Show1LoadLoRA(io.ComfyNode):
    """A LoRA from a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1LoadLoRA", display_name="Show-1 Load LoRA", category=common.CATEGORY,
            **common.search_words("motion lora", "style lora", "resume training", "diffusers lora", "load lora"),
            description="Loads a LoRA from models/loras, to go on training from or for Load LoRA Model. Files in the naming of "
                        "diffusers or PEFT (unet.<layer>.lora_A.weight), which core loaders leave out here, load too.",
            inputs=[
                io.Combo.Input("lora_name", options=list(LIBRARY.loras()),
                               tooltip="The .safetensors files in models/loras, and those of Save LoRA."),
                io.Model.Input("model", optional=True, tooltip="The model that it is for: a LoRA that does not fit it is "
                                                               "refused, and one of another base is warned of."),
            ],
            outputs=[io.Custom(LORA).Output(display_name="lora")],
        )

    @classmethod
    def validate_inputs(cls, lora_name: str | None = None) -> bool | str:
        return files.missing("lora_name", lora_name, LIBRARY.loras(), LORAS)

    @classmethod
    def execute(cls, lora_name: str, model: Any = None) -> io.NodeOutput:
        if model is not None:
            checks.of_this_pack(model)
        return io.NodeOutput(host.load_lora(files.one_of("lora_name", lora_name, LIBRARY.loras(), LORAS), model))
