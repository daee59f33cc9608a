"""What nodes hang on a MODEL in vain, or to its harm, in sentences (docs/host-features.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from comfy.model_sampling import EPS

from ...show1_core.schedule import sigma_table

SERVED = {"patches": {"attn1_output_patch", "output_block_patch"}, "patches_replace": {"attn1"}}
DOES_NOTHING = "does nothing for this model"
DOWNSCALE = f"PatchModelAddDownscale {DOES_NOTHING}, which draws small frames already; remove it."
INPUTS = (f"A patch of attention's inputs (TomePatchModel, HyperTile, HypernetworkLoader) {DOES_NOTHING}, which has no place "
          "for it; remove it.")
SENTENCES = {
    "attn1_patch": INPUTS,
    "attn2_patch": INPUTS,
    "input_block_patch": DOWNSCALE,
    "input_block_patch_after_skip": DOWNSCALE,
    "dit": f"SkipLayerGuidance {DOES_NOTHING} but make it slower, for it skips layers of transformers, and this is a UNet; take "
           "PerturbedAttentionGuidance.",
}
FOREIGN = {  # among the transformer options: what nodes for models of other kinds leave there
    "rope_options": f"ScaleROPE {DOES_NOTHING}, which has no rotary positions; remove it.",
    "chroma_radiance_options": f"ChromaRadianceOptions {DOES_NOTHING}, which has no such options; remove it.",
}
CONTROL = f"ControlNet {DOES_NOTHING}, for which none was made; remove it."
COMPILED = (f"TorchCompileModel {DOES_NOTHING}, whose steps look at numbers between its blocks; set compile to blocks in Show-1 "
            "Model Loader instead.")
OTHER_NOISE = ("ModelSamplingDiscrete, or a node like it, gives this model another noise schedule or prediction than it was "
               "trained with, which spoils the picture; remove it.")
SAME_SIGMAS = 1e-3  # relative: hosts compute the same schedule in other types
MOST_REUSE = 0.1  # of EasyCache's reuse_threshold: docs/host-features.md#caches
EASY = f"EasyCache's reuse_threshold is so large that it spoils the picture of this model; take {MOST_REUSE} at most."
LAZY = ("LazyCache spoils the picture of this model, whose sigmas are large; take EasyCache, at a reuse_threshold of "
        f"{MOST_REUSE} at most.")
VARIANCE_KEPT = ("EasyCache and other wrappers of the network do nothing in the published sampler of this model, which needs all "
                 "that the network says in every step; take a core sampler for them.")


def other_noise(patcher: Any) -> str | None:
    """A sentence when a node has given a MODEL another noise schedule, or prediction, than it was trained with."""
    given = patcher.object_patches.get("model_sampling")
    if given is None:
        return None
    own, sigmas = sigma_table(patcher.model.show1.schedule), getattr(given, "sigmas", torch.empty(0)).cpu().to(torch.float32)
    same = sigmas.shape == own.shape and torch.allclose(sigmas, own, rtol=SAME_SIGMAS)
    return None if same and type(given).calculate_denoised is EPS.calculate_denoised else OTHER_NOISE


def idle_loras(patcher: Any) -> str | None:
    """A sentence when LoRAs, or models merged in, are of other sizes than a MODEL's layers, so that the host leaves them out."""
    weights = dict(patcher.model.named_parameters())
    patches = [(weights[name], patch[1]) for name, several in patcher.patches.items() if name in weights for patch in several]
    strange = sum(not fits(weight, patch) for weight, patch in patches)
    if not strange:
        return None
    return (f"A LoRA, or a model merged in, was made for another base: {strange} of the {len(patches)} changes on this model are "
            "of other sizes than its layers. Take a LoRA with the model that it was trained on, and merge models of one stage.")


def fits(weight: Any, patch: Any) -> bool:
    """Whether a LoRA, or a change of the whole weight, is as large as the weight; of other kinds the host knows more."""
    if isinstance(patch, list):  # another model's weight, and how the host reads it, before what hangs on that
        return patch[0][0].shape == weight.shape
    if isinstance(patch, tuple):
        return patch[0] != "diff" or patch[1][0].shape == weight.shape
    if getattr(patch, "name", "") != "lora":
        return True
    up, down = patch.weights[:2]
    return up.shape[0] == weight.shape[0] and down[0].numel() == weight[0].numel()


def idle_options(options: dict[str, Any]) -> Iterator[str]:
    """A sentence for each thing among a call's transformer options that does nothing, or harm."""
    for where, served in SERVED.items():
        for kind in options.get(where, {}).keys() - served:
            yield SENTENCES.get(kind, f"A patch of kind {kind!r} {DOES_NOTHING}, which has no place for it; remove its node.")
    for name in FOREIGN.keys() & options.keys():
        yield FOREIGN[name]
    if "lazycache" in options.get("wrappers", {}).get("predict_noise", {}):
        yield LAZY


def spoilt_by_cache(options: dict[str, Any]) -> bool:
    """Whether EasyCache is among a call's transformer options, at a threshold at which it spoils the picture."""
    attached = "easycache" in options.get("wrappers", {}).get("diffusion_model", {})
    return attached and getattr(options.get("easycache"), "reuse_threshold", 0.0) > MOST_REUSE
