"""Train one stage of the mini cascade; continue where the last run was stopped.

    python -m mini.train --stage keyframes --tokenizer DIR

DIR holds the standard T5 tokenizer (tokenizer.json). Order of the stages: images and keyframes, the same two with pairs of
solids, vae, then interpolation, first-frame, sr1 and sr2, which take the text encoder (and some their first weights) from the
stages before: from --folder, or else from what ships in `models/show1-mini/`. first-frame-edges, sr1-edges and sr2-early go on
from the last three, which ship so. The scorer, which ranks takes, needs none of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .latent import Autoencoder, Bank, LatentSR, standardised
from .loop import Trainer
from .recipes import (
    FIRST_FRAME_UNET,
    IMAGES_UNET,
    INTERPOLATION_UNET,
    KEYFRAMES_UNET,
    LATENT_SR_UNET,
    PIXEL_SR_UNET,
    PLANS,
    T5_RECIPE,
    VAE_RECIPE,
    UNetRecipe,
)
from .redraw import FirstFrameAtEdges, LatentSREarly, PixelSRAtEdges
from .scorer import SCORER_RECIPE, Scorer
from .start import inherit
from .t5 import TextEncoder, Tokenizer
from .tasks import DiffusionTask, FirstFrame, ImagePairs, Images, Interpolation, KeyframePairs, Keyframes, PixelSR, TextToFrames

# The second training of a stage (redraw.py), which is the one that is published.
AGAIN = {"first-frame": "first-frame-edges", "sr1": "sr1-edges", "sr2": "sr2-early"}
# Where a stage's weights are published; what is not here is a step on the way.
FOLDERS = {"keyframe-pairs": "keyframes", "interpolation": "interpolation", **{last: stage for stage, last in AGAIN.items()}}
FINISHED = Path(__file__).resolve().parents[1] / "models" / "show1-mini"
Stage = TypeVar("Stage", bound=TextToFrames)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Workshop:
    """Where training keeps its state, the tokenizer, and the exported stages."""

    folder: Path
    tokenizer: Path
    finished: Path = FINISHED

    def average(self, stage: str) -> dict[str, Tensor]:
        """Averaged weights of a stage that has been trained. Raises FileNotFoundError, naming the command, if it has not."""
        path = self.folder / stage / "state.pt"
        if path.exists():
            return torch.load(path, map_location="cpu", weights_only=True)["average"]
        weights = exported(self.finished, stage)
        if not weights:
            raise FileNotFoundError(f"{path} is missing: train that stage first (--stage {stage})")
        return weights

    def text(self, trained: bool = True) -> TextEncoder:
        """The text encoder, by default as the keyframe model left it."""
        encoder = TextEncoder(T5_RECIPE, Tokenizer(self.tokenizer))
        if trained:
            load(encoder, part(self.average("keyframe-pairs"), "text."))
        return encoder

    def autoencoder(self) -> Any:
        """The trained autoencoder, its latent space standardised."""
        task = Autoencoder(VAE_RECIPE)
        load(task, self.average("vae"))
        return standardised(task.vae.eval())

    def bank(self, clips: int) -> Bank:
        """So many encoded clips for the latent stage; made once, then kept."""
        path = self.folder / "vae" / f"bank-{clips}.pt"
        if not path.exists():
            bank = Bank.fill(self.autoencoder(), clips, seed=1)
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"latents": bank.latents, "captions": bank.captions}, path)
        stored = torch.load(path, weights_only=True)
        return Bank(stored["latents"], tuple(stored["captions"]))


def exported(folder: Path, stage: str) -> dict[str, Tensor]:
    """Weights of a stage in the published layout, by the names that its task has for them; none where it is not there.

    Of a stage with a second training they are what that has made.
    """
    stage = AGAIN.get(stage, stage)
    if stage == "vae":
        files = {"vae.": folder / "sr2" / "vae" / WEIGHTS}
    elif stage in FOLDERS:
        place = folder / FOLDERS[stage]
        files = {"unet.": place / "unet" / WEIGHTS, "text.t5.": place / "text_encoder" / "model.safetensors"}
    else:
        return {}
    return {prefix + name: value.float() for prefix, file in files.items() if file.is_file()
            for name, value in load_file(file).items()}


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


@torch.no_grad()
def load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Fill every parameter by its name; one that several names share is stored once."""
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])


def started(task: type[Stage], recipe: UNetRecipe, shop: Workshop, start: dict[str, Tensor]) -> Stage:
    """A stage with the text encoder of `start`, and those of its weights that the UNet has, too."""
    text = shop.text(trained=False)
    load(text, part(start, "text."))
    made = task(recipe, text)
    inherit(made.unet, part(start, "unet."))
    return made


def from_images(task: type[TextToFrames], recipe: UNetRecipe) -> Callable[[Workshop], nn.Module]:
    """Starts from the image model's spatial weights and its text encoder (paper section 3.2)."""
    return lambda shop: started(task, recipe, shop, shop.average("images"))


def keyframe_pairs(shop: Workshop) -> nn.Module:
    """Goes on from the keyframe model, moved by what the image model learnt of pairs: single frames are cheaper to learn from."""
    before, after = shop.average("images"), shop.average("image-pairs")
    start = {name: value + after[name] - before[name] if name in before else value
             for name, value in shop.average("keyframes").items()}
    task = started(KeyframePairs, KEYFRAMES_UNET, shop, start)
    load(task.binding, part(after, "binding."))
    return task


def interpolation(shop: Workshop) -> nn.Module:
    """Starts from the keyframe weights (paper section 3.2)."""
    task = Interpolation(INTERPOLATION_UNET, shop.text())
    inherit(task.unet, part(shop.average("keyframe-pairs"), "unet."))
    return task


def pixel_sr(shop: Workshop) -> nn.Module:
    """Starts from the first-frame model, which sees single frames (paper section 3.3 starts from an image model)."""
    task = PixelSR(PIXEL_SR_UNET, shop.text())
    inherit(task.unet, part(shop.average("first-frame"), "unet."))
    return task


def again(stage: str, task: Callable[[Workshop], DiffusionTask]) -> Callable[[Workshop], nn.Module]:
    """Goes on from a finished stage, with another task."""
    def made(shop: Workshop) -> nn.Module:
        begun = task(shop)
        load(begun.unet, part(shop.average(stage), "unet."))
        return begun
    return made


TASKS: dict[str, Callable[[Workshop], nn.Module]] = {
    "images": lambda shop: Images(IMAGES_UNET, shop.text(trained=False)),
    "keyframes": from_images(Keyframes, KEYFRAMES_UNET),
    "image-pairs": from_images(ImagePairs, IMAGES_UNET),
    "keyframe-pairs": keyframe_pairs,
    "interpolation": interpolation,
    "first-frame": lambda shop: FirstFrame(FIRST_FRAME_UNET, shop.text()),
    "sr1": pixel_sr,
    "first-frame-edges": again("first-frame", lambda shop: FirstFrameAtEdges(FIRST_FRAME_UNET, shop.text())),
    "sr1-edges": again("sr1", lambda shop: PixelSRAtEdges(PIXEL_SR_UNET, shop.text())),
    "vae": lambda shop: Autoencoder(VAE_RECIPE),
    "sr2": lambda shop: LatentSR(LATENT_SR_UNET, shop.text(), shop.bank(LatentSR.clips)),
    "sr2-early": again("sr2", lambda shop: LatentSREarly(LATENT_SR_UNET, shop.text(), shop.bank(LatentSREarly.clips))),
    "sr2-full": lambda shop: LatentSR(LATENT_SR_UNET, shop.text(), shop.bank(LatentSR.clips), last=1000),
    "scorer": lambda shop: Scorer(SCORER_RECIPE),
}


def set_up_torch(threads: int, device: torch.device) -> None:
    """How a CPU is used: few threads inside a layer, and plain attention. Other devices are left as they are."""
    torch.set_num_threads(threads)
    if device.type != "cpu":
        return
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # plain attention stays in bfloat16
    # The fused attention is slow for heads of eight channels over eight frames.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)


def main() -> None:
    """Train a stage to the end of its plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=tuple(TASKS), required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the T5 tokenizer")
    parser.add_argument("--folder", type=Path, default=Path(".training"), help="where checkpoints are kept")
    parser.add_argument("--steps", type=int, help="length of the plan, if not the recorded one")
    parser.add_argument("--threads", type=int, default=1, help="threads inside a layer, for each half of the batch")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    set_up_torch(arguments.threads, device)
    plan = PLANS[arguments.stage]
    plan = replace(plan, steps=arguments.steps or plan.steps)
    shop = Workshop(arguments.folder, arguments.tokenizer)
    task = TASKS[arguments.stage](shop).to(device)
    trainer = Trainer(task, plan, arguments.folder / arguments.stage)
    trainer.resume()
    size = sum(parameter.numel() for parameter in trainer.parameters.values()) / 1e6
    print(f"{arguments.stage}: {size:.2f} M parameters, from step {trainer.step}", flush=True)
    trainer.run()


if __name__ == "__main__":
    main()
