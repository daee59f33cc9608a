"""Templates with the mini's models in place of the published ones, at the mini's sizes and settings: for pictures and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hosting.hosts import REPO

from .description import Json

MODELS = {
    "show-1-base": "show1-mini/keyframes",
    "show-1-interpolation": "show1-mini/interpolation",
    "IF-II-L-v1.0": "show1-mini/first-frame",
    "show-1-sr1": "show1-mini/sr1",
    "show-1-sr2": "show1-mini/sr2",
    "show-1-base/text_encoder": "show1-mini/keyframes/text_encoder",
    "show-1-sr2/text_encoder": "show1-mini/keyframes/text_encoder",
    "show-1-sr2/vae": "show1-mini/sr2/vae",
    "clip-vit-base-patch32": "show1-mini/scorer",
}
USERS_OWN = {"LoadVideo": "file", "LoadImage": "image", "CreateHookLora": "lora_name"}  # files that no template can know
NAMES = {"guidance": "cfg", "strength": "denoise"}  # what a node calls a setting of recipe.json
NODES = {  # by title, the stage of recipe.json whose settings a node has
    "Keyframes": "keyframes", "A first take": "keyframes", "Drafts": "keyframes", "Eight small frames": "keyframes",
    "Given frames": "keyframes", "Guidance": "keyframes", "Steps": "keyframes", "Resize": "keyframes",
    "Interpolation": "interpolate", "First frame": "first_frame", "Upscale": "upscale", "Refine": "refine",
}


def settings() -> dict[str, Json]:
    """How the mini is sampled, by stage."""
    recipe: dict[str, Json] = json.loads((REPO / "models" / "show1-mini" / "recipe.json").read_text(encoding="utf-8"))
    return {stage: {NAMES.get(name, name): value for name, value in values.items() if name != "frames"}
            for stage, values in recipe.items() if isinstance(values, dict)}


def mini_twin(prompt: Json, values: Mapping[str, Json], files: Mapping[str, str]) -> Json:
    """A template's prompt in the server's format, changed in place.

    `values` are further ones by the title of a node; `files` stand for the user's, by the input that names them: `file` of
    Load Video, `image` of Load Image.
    """
    known = settings()
    for node in prompt.values():
        title, inputs = node["_meta"]["title"], node["inputs"]
        inputs.update({name: MODELS.get(value, value) for name, value in inputs.items() if isinstance(value, str)})
        mine = known.get(NODES.get(title, ""), {})
        inputs.update({name: value for name, value in mine.items() if name in inputs and not isinstance(inputs[name], list)})
        if node["class_type"] in ("LoadVideo", "LoadImage"):
            inputs.update({name: file for name, file in files.items() if name in inputs})
        inputs.update(values.get(title, {}))
    return prompt
