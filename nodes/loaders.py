"""Loaders: a UNet as MODEL, a text encoder as CLIP, a VAE; from published folders or single files."""

from __future__ import annotations

from comfy_api.latest import io

from ..show1_core.weights import find_transformers_weights, find_weights, read_json, read_tensors
from . import checks, files, host
from .common import CATEGORY, advanced, search_words

DTYPES = ["auto", *host.DTYPES]
KERNELS = ["auto", "eager", "any"]
COMPILE = ["off", "blocks", "auto"]
LIBRARY = host.Library()
SHOW1 = "models/show1"
TEXTS = f"{SHOW1} or models/text_encoders"


def model_names() -> list[str]:
    """The UNets to choose from, in the order of the cascade."""
    return sorted(LIBRARY.models(), key=place)


def place(name: str) -> int:
    """Where in the cascade a model belongs, as far as its name says: a fresh loader offers what comes first."""
    words = (("base", "keyframe"), ("interp",), ("first-frame", "if-"), ("sr1",), ("sr2",))
    last = name.lower().rsplit("/", 1)[-1]
    return next((number for number, some in enumerate(words) if any(word in last for word in some)), len(words))


class Show1ModelLoader(io.ComfyNode):
    """A UNet of the cascade as a native MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1ModelLoader", display_name="Show-1 Model Loader", category=CATEGORY,
            **search_words("load model", "unet", "text to video", "pixel diffusion"),
            description="Loads one UNet of the Show-1 cascade, from a published folder or a converted file in models/show1.",
            inputs=[
                io.Combo.Input("model", options=model_names(),
                               tooltip="Folders and .safetensors files in models/show1."),
                io.Combo.Input("dtype", options=DTYPES, default="auto",
                               tooltip="auto: what the device does best. fp8_e4m3fn halves fp16's memory and costs accuracy."),
                advanced(io.Combo.Input(
                    "kernels", options=KERNELS, default="auto",
                    tooltip="auto: what is fastest here and agrees with plain PyTorch, tried at first use. eager: plain PyTorch, "
                            "for comparison. any: Triton kernels wherever they run, untried.")),
                advanced(io.Combo.Input(
                    "compile", options=COMPILE, default="off", optional=True,
                    tooltip="blocks: torch.compile, minutes at the first run; slower on CPUs. auto: on GPUs whichever is "
                            "fastest in a trial: plain calls, each as one CUDA graph, or blocks.")),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def validate_inputs(cls, model: str | None = None) -> bool | str:
        return files.missing("model", model, LIBRARY.models(), SHOW1)

    @classmethod
    def execute(cls, model: str, dtype: str, kernels: str, compile: str = "off") -> io.NodeOutput:
        for name, value, options in (("dtype", dtype, DTYPES), ("kernels", kernels, KERNELS), ("compile", compile, COMPILE)):
            checks.choice(name, value, options)
        path = files.one_of("model", model, LIBRARY.models(), SHOW1)
        with files.foreign_files_explained():
            return io.NodeOutput(host.load_from_file(path, dtype, kernels, compile))


class Show1TextEncoderLoader(io.ComfyNode):
    """T5 for the pixel stages or CLIP for the latent stage; which one is read from the file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1TextEncoderLoader", display_name="Show-1 Text Encoder Loader", category=CATEGORY,
            description="Loads the T5 of the pixel stages or the CLIP of the latent stage; which one is read from its tensors.",
            inputs=[io.Combo.Input("text_encoder", options=list(LIBRARY.text_encoders()),
                                   tooltip="Folders in models/show1 and files in models/text_encoders, such as t5xxl_fp16.")],
            outputs=[io.Clip.Output()],
        )

    @classmethod
    def validate_inputs(cls, text_encoder: str | None = None) -> bool | str:
        return files.missing("text_encoder", text_encoder, LIBRARY.text_encoders(), TEXTS)

    @classmethod
    def execute(cls, text_encoder: str) -> io.NodeOutput:
        path = files.one_of("text_encoder", text_encoder, LIBRARY.text_encoders(), TEXTS)
        weights = [path] if path.is_file() else find_transformers_weights(path)
        config = None if path.is_file() else read_json(path / "config.json")
        with files.foreign_files_explained():
            return io.NodeOutput(host.load_text(read_tensors(weights), config))


class Show1VAELoader(io.ComfyNode):
    """The VAE of the latent stage."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Show1VAELoader", display_name="Show-1 VAE Loader", category=CATEGORY,
            description="Loads a published vae/ folder. Any SD 1.x VAE through the core Load VAE fits the latent stage too.",
            inputs=[io.Combo.Input("vae", options=list(LIBRARY.vaes()),
                                   tooltip="Folders in models/show1, such as show-1-sr2/vae.")],
            outputs=[io.Vae.Output()],
        )

    @classmethod
    def validate_inputs(cls, vae: str | None = None) -> bool | str:
        return files.missing("vae", vae, LIBRARY.vaes(), SHOW1)

    @classmethod
    def execute(cls, vae: str) -> io.NodeOutput:
        path = files.one_of("vae", vae, LIBRARY.vaes(), SHOW1)
        tensors = read_tensors(find_weights(path, "diffusion_pytorch_model"))
        with files.foreign_files_explained():
            return io.NodeOutput(host.load_vae(tensors, read_json(path / "config.json")))
