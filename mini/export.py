"""Write the trained mini cascade in the published folder layout.

    python -m mini.export models/show1-mini --tokenizer DIR

Weights are the averaged ones, in half precision; `training.json`, `recipe.json` and the card are written with them. A stage
that has not been trained yet is left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from show1_core.schedule import Schedule
from show1_core.stages import FIRST_FRAME, PIXEL_SR

from .card import write as write_card
from .lessons import lesson
from .recipes import (
    FIRST_FRAME_UNET,
    INTERPOLATION_UNET,
    KEYFRAMES_UNET,
    LATENT_SR_UNET,
    PIXEL_SR_UNET,
    T5_RECIPE,
    VAE_RECIPE,
    UNetRecipe,
    unet_config,
    vae_config,
)
from .scorer import SCORER_RECIPE, Scorer, preprocessing
from .scorer import config_of as scorer_config
from .scorer_words import write_tokenizer
from .settings import recipe
from .t5 import config_of
from .tasks import build_unet
from .train import FOLDERS, WEIGHTS, Workshop, load, part

UNETS: dict[str, UNetRecipe] = {
    "keyframe-pairs": KEYFRAMES_UNET,
    "interpolation": INTERPOLATION_UNET,
    "first-frame-edges": FIRST_FRAME_UNET,
    "sr1-edges": PIXEL_SR_UNET,
    "sr2-early": LATENT_SR_UNET,
}


def scheduler_config(schedule: Schedule) -> dict[str, Any]:
    """The `scheduler_config.json` of a stage, with the keys of the published files."""
    config: dict[str, Any] = {
        "_class_name": "DDPMScheduler" if schedule.solver == "ddpm" else "DPMSolverMultistepScheduler",
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.beta_schedule,
        "beta_start": schedule.beta_start,
        "dynamic_thresholding_ratio": schedule.threshold_ratio,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "sample_max_value": schedule.threshold_max or 1.0,
        "steps_offset": 0,
        "thresholding": schedule.threshold_max is not None,
        "trained_betas": None,
    }
    if schedule.solver == "ddpm":
        return config | {"clip_sample": True, "clip_sample_range": 1.0, "timestep_spacing": "leading",
                         "variance_type": "learned_range" if schedule.learned_variance else "fixed_small"}
    return config | {"algorithm_type": "dpmsolver++", "lambda_min_clipped": schedule.lambda_min_clipped,
                     "lower_order_final": True, "solver_order": 2, "solver_type": "midpoint", "timestep_spacing": "linspace",
                     "use_karras_sigmas": False, "variance_type": "fixed_small"}


def noising_config() -> dict[str, Any]:
    """The `image_noising_scheduler` of the super-resolution stages: cosine betas, no thresholding."""
    return scheduler_config(Schedule("squaredcos_cap_v2", solver="ddpm"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a config, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(content.items())), indent=2) + "\n", encoding="utf-8")


def write_weights(path: Path, module: nn.Module) -> None:
    """Write all parameters in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {name: p.detach().half().contiguous() for name, p in module.named_parameters()}
    save_file(tensors, path, metadata={"format": "pt"})


def export_unet(shop: Workshop, stage: str, target: Path) -> None:
    """unet/, scheduler/ and, where conditions are noised, image_noising_scheduler/ of a stage."""
    recipe, folder = UNETS[stage], target / FOLDERS[stage]
    unet = build_unet(recipe, seed=0)
    load(unet, part(shop.average(stage), "unet."))
    write_json(folder / "unet" / "config.json", unet_config(recipe))
    write_weights(folder / "unet" / WEIGHTS, unet)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config(recipe.stage.schedule))
    if recipe.stage in (FIRST_FRAME, PIXEL_SR):
        write_json(folder / "image_noising_scheduler" / "scheduler_config.json", noising_config())


def export_text_encoder(shop: Workshop, target: Path) -> None:
    """keyframes/text_encoder: config and weights as transformers' T5EncoderModel names them."""
    folder = target / "keyframes" / "text_encoder"
    write_json(folder / "config.json", config_of(T5_RECIPE).to_dict())
    write_weights(folder / "model.safetensors", shop.text().t5)


def export_vae(shop: Workshop, target: Path) -> None:
    """sr2/vae: config and weights as diffusers' AutoencoderKL names them."""
    folder = target / "sr2" / "vae"
    write_json(folder / "config.json", {"_class_name": "AutoencoderKL", **vae_config(VAE_RECIPE)})
    write_weights(folder / WEIGHTS, shop.autoencoder())


def export_scorer(shop: Workshop, target: Path) -> None:
    """scorer: config, weights, tokenizer and preprocessing as transformers' CLIPModel and its processor read them."""
    folder, scorer = target / "scorer", Scorer(SCORER_RECIPE)
    load(scorer, shop.average("scorer"))
    write_json(folder / "config.json", scorer_config(SCORER_RECIPE).to_diff_dict())
    write_json(folder / "preprocessor_config.json", preprocessing(SCORER_RECIPE))
    write_tokenizer(folder)
    write_weights(folder / "model.safetensors", scorer.clip)


def summary(shop: Workshop) -> dict[str, Any]:
    """What was trained how far: plan, what it learns from, steps, seconds and smoothed loss of every stage."""
    found = {}
    for path in sorted(shop.folder.glob("*/state.pt")):
        state = torch.load(path, weights_only=True)
        found[path.parent.name] = {
            "steps": state["step"], "seconds": round(state["seconds"]), "loss": round(state["recent"], 5), "plan": state["plan"],
            "lesson": lesson(path.parent.name)}
    return found


def main() -> None:
    """Export everything that has been trained, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path(".training"))
    arguments = parser.parse_args()
    shop = Workshop(arguments.folder, arguments.tokenizer)
    done = {path.parent.name for path in arguments.folder.glob("*/state.pt")}
    for stage in UNETS.keys() & done:
        export_unet(shop, stage, arguments.target)
    if "keyframe-pairs" in done:
        export_text_encoder(shop, arguments.target)
    if "vae" in done:
        export_vae(shop, arguments.target)
    if "scorer" in done:
        export_scorer(shop, arguments.target)
    told = arguments.target / "training.json"  # stages that were exported before stay
    write_json(told, (json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}) | summary(shop))
    write_json(arguments.target / "recipe.json", asdict(recipe()))
    write_card(arguments.target)
    size = sum(path.stat().st_size for path in arguments.target.rglob("*.safetensors"))
    print(f"{', '.join(sorted(done))}: {size / 1e6:.2f} MB of weights in {arguments.target}")


if __name__ == "__main__":
    main()
