"""Every kind of file where a text encoder or a VAE belongs: refused in one sentence that says what it is. (UNets: tests/core.)"""

from __future__ import annotations

import pytest
import torch

ONE = torch.zeros(1)
FILES = {
    "a LoRA": {"lora_unet_down_blocks_0.lora_up.weight": ONE, "lora_unet_down_blocks_0.lora_down.weight": ONE},
    "a Stable Diffusion checkpoint": {"model.diffusion_model.input_blocks.0.0.weight": ONE, "first_stage_model.x": ONE},
    "a Stable Diffusion UNet": {"input_blocks.0.0.weight": ONE},
    "a diffusion transformer": {"double_blocks.0.img_attn.qkv.weight": ONE},
    "something unknown, beginning with 'a.b'": {"a.b": ONE},
    "empty": {},
}


@pytest.fixture
def places(pack, models):
    """Loading a state dict as a text encoder, and as a VAE."""
    host, read = pack("nodes.host"), pack("show1_core.weights").read_json
    config = read(models / "show-1-sr2" / "vae" / "config.json")
    return {"text": lambda tensors: host.load_text(tensors, None), "vae": lambda tensors: host.load_vae(tensors, config)}


@pytest.fixture
def files(pack, models):
    """The tensors of a part of the miniatures."""
    weights = pack("show1_core.weights")

    def read(part):
        folder = models / part
        stem = next(file.name.split(".")[0].removesuffix("-00001-of-00002") for file in sorted(folder.glob("*.[bs]*")))
        return weights.read_tensors(weights.find_weights(folder, stem))
    return read


@pytest.mark.parametrize("place", ["text", "vae"])
@pytest.mark.parametrize("what", FILES)
def test_a_file_of_another_kind(places, place, what):
    with pytest.raises(ValueError) as refused:
        places[place](FILES[what])
    assert what in str(refused.value) and "expected a" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("place, part, sentence", [
    ("text", "show-1-base/unet", "this file is a UNet of Show-1; expected a T5"),
    ("text", "show-1-sr2/vae", "a VAE in the published layout; expected a T5"),
    ("vae", "show-1-sr2/unet", "this file is a UNet of Show-1; expected a VAE"),
    ("vae", "show-1-base/text_encoder", "a T5 text encoder; expected a VAE"),
    ("vae", "show-1-sr2/text_encoder", "a CLIP text encoder; expected a VAE")])
def test_a_part_of_a_checkpoint_in_another_place(places, files, place, part, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        places[place](files(part))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("place, expected", [("text", "T5 v1.1, such as t5xxl_fp16"), ("vae", "a VAE")])
def test_umt5_has_a_bias_in_every_block(places, files, place, expected):
    """Otherwise its names and sizes are T5's: it would load, and draw garbage."""
    bias = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight".format
    tensors = files("show-1-base/text_encoder")
    tensors[bias(1)] = tensors[bias(0)]
    with pytest.raises(ValueError, match=f"^this file is a UMT5 text encoder, of Wan; expected {expected}"):
        places[place](tensors)


@pytest.mark.parametrize("spoil, sentence", [
    (lambda tensors: tensors.pop("decoder.conv_out.weight"), "the VAE lacks 1 tensors .*decoder.conv_out.weight"),
    (lambda tensors: tensors.update({"decoder.conv_out.weight": ONE}), "does not fit its config.json")])
def test_a_vae_that_is_not_whole(places, files, spoil, sentence):
    tensors = dict(files("show-1-sr2/vae"))
    spoil(tensors)
    with pytest.raises(ValueError, match=sentence) as refused:
        places["vae"](tensors)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", ["show-1-base/text_encoder", "show-1-sr2/text_encoder"])
@pytest.mark.parametrize("spoil, sentence", [
    (lambda tensors, name: tensors.pop(name), "lacks 1 tensor"),
    (lambda tensors, name: tensors.update({name: ONE}), "does not fit")])
def test_a_text_encoder_that_is_not_whole(pack, models, files, part, spoil, sentence):
    tensors, config = dict(files(part)), pack("show1_core.weights").read_json(models / part / "config.json")
    spoil(tensors, max(name for name in tensors if "0" in name and tensors[name].ndim == 2))
    with pytest.raises(ValueError, match=sentence) as refused:
        pack("nodes.host").load_text(tensors, config)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what, advice", [
    ("a LoRA, which goes on top of a model", "Load it with the core LoraLoaderModelOnly."),
    ("a T5 text encoder", "Load it with Show-1 Text Encoder Loader."), ("a VAE", "Load it with the core Load VAE."),
    ("something unknown, beginning with 'x'", "expected a UNet.")])
def test_the_nodes_say_where_a_file_belongs(pack, what, advice):
    foreign = pack("show1_core.checkpoints").ForeignFile("x.safetensors", what, "a UNet")
    with pytest.raises(ValueError) as refused, pack("nodes.files").foreign_files_explained():
        raise foreign
    assert str(refused.value).startswith(f"x.safetensors is {what}; expected a UNet.") and str(refused.value).endswith(advice)
