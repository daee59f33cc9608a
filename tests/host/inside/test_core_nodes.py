"""Our models in the host's own nodes, from loading to frames, and theirs in ours."""

from __future__ import annotations

import pytest
import torch
from recording import error
from safetensors.torch import save_file

PUBLISHED = ("published", "published")


@pytest.fixture
def core():
    """The host's own nodes."""
    import nodes

    return nodes


@pytest.mark.parametrize("frames, denoise", [(1, 1.0), (3, 0.8)])
def test_the_latent_stage_between_the_core_vae_nodes(core, load, clip, vae, frames, denoise):
    images = torch.rand(frames, 64, 72, 3, generator=torch.Generator().manual_seed(0))
    latent, = core.VAEEncode().encode(vae, images)
    assert latent["samples"].shape == (frames, 4, 8, 9)
    out, = core.KSampler().sample(load("show-1-sr2"), 3, 2, 15.0, "dpmpp_2m", "normal", *clip, latent, denoise=denoise)
    video, = core.VAEDecode().decode(vae, out)
    assert video.shape == images.shape and bool(torch.isfinite(video).all())


@pytest.mark.parametrize("cfg", [1.0, 7.0])
def test_a_batch_of_latents_is_one_clip(core, load, clip, cfg):
    """The frames see each other: the same numbers as for one clip of five dimensions."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(3, 4, 8, 8, generator=generator)
    import comfy.sample

    model, noise = load("show-1-sr2"), torch.randn(3, 4, 8, 8, generator=generator)

    def sample(start, noise):
        return comfy.sample.sample(model, noise, 3, cfg, "euler", "normal", *clip, start, denoise=0.7, seed=1)

    whole = sample(batch.transpose(0, 1)[None], noise.transpose(0, 1)[None])
    assert error(sample(batch, noise), whole[0].transpose(0, 1)) <= 1e-6
    alone = sample(batch[:1], noise[:1])
    assert error(alone, whole[0].transpose(0, 1)[:1]) > 1e-3, "the frames do not see each other"


def test_what_the_latent_node_gives_can_be_decoded_by_the_core(pack, core, load, clip, vae):
    images, latent = pack("nodes.latent_sr").Show1LatentSR.execute(
        load("show-1-sr2"), vae, *clip, torch.rand(2, 32, 32, 3), 1, 2, 15.0, 0.8, 64, 64, *PUBLISHED).args
    again, = core.VAEDecode().decode(vae, latent)
    assert error(again, images) <= 1e-5  # ours takes a frame at a time, which PyTorch rounds otherwise than two


@pytest.mark.parametrize("guider", ["BasicGuider", "CFGGuider"])
def test_keyframes_by_every_guider(pack, load, t5, guider):
    from comfy_extras import nodes_custom_sampler as custom

    conditions = t5[:1] if guider == "BasicGuider" else (*t5, 5.0)
    sampler, = custom.KSamplerSelect.execute("euler").args
    sigmas, = custom.BasicScheduler.execute(load("show-1-base"), "simple", 3, 1.0).args
    empty = pack("nodes.core_samplers").Show1EmptyPixelLatent.execute(4, 16, 8, 1).args[0]
    guide, = getattr(custom, guider).execute(load("show-1-base"), *conditions).args
    out = custom.SamplerCustomAdvanced.execute(custom.Noise_RandomNoise(3), guide, sampler, sigmas, empty).args[0]
    assert out["samples"].shape == (1, 3, 4, 8, 16) and bool(torch.isfinite(out["samples"]).all())


@pytest.mark.parametrize("name", ["show-1-base", "IF-II-L-v1.0", "show-1-sr2"])
def test_the_hosts_channels_last_option_is_no_obstacle(pack, load, models, monkeypatch, name):
    """The host lays a network's weights out for pictures, of which Conv3d weights are none."""
    import comfy.model_management as mm

    monkeypatch.setattr(mm, "force_channels_last", lambda: True)
    loaded = pack("nodes.host").load_model(pack("show1_core.checkpoints").read_checkpoint(models / name), "fp32")
    expected = load(name).model.diffusion_model.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in loaded.model.diffusion_model.state_dict().items())


@pytest.mark.slow  # a text encoder is written and read twice
def test_the_core_loader_reads_the_latent_stages_text_encoder_as_ours_does(pack, core, tmp_path):
    """At its published size, for the core knows an encoder by that: 23 layers of 1024 (numerics 1.6), random weights."""
    import folder_paths
    from transformers import CLIPTextConfig, CLIPTextModel

    numbers = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 23,
               "hidden_act": "gelu", "max_position_embeddings": 77, "vocab_size": 49408, "eos_token_id": 49407,
               "layer_norm_eps": 1e-5}
    torch.manual_seed(0)
    with torch.inference_mode(False):
        weights = CLIPTextModel(CLIPTextConfig(**numbers)).half().state_dict()
    names = {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in weights.items()}
    tensors = {name: value for name, value in names.items() if not name.endswith("position_ids")}
    save_file(tensors, tmp_path / "open_clip.safetensors")
    folder_paths.add_model_folder_path("text_encoders", str(tmp_path))
    theirs, = core.CLIPLoader().load_clip("open_clip.safetensors", "stable_diffusion")
    ours = pack("nodes.host").load_text(tensors, numbers)
    for prompt in ("a cat in the rain", "low resolution, blur", ""):
        (expected, _), = core.CLIPTextEncode().encode(ours, prompt)[0]
        (found, _), = core.CLIPTextEncode().encode(theirs, prompt)[0]
        assert found.shape == (1, 77, 1024) and error(found, expected) <= 1e-4


@pytest.mark.parametrize("node, name, dtype", [
    ("ModelSave", "show-1-base", "fp32"), ("ModelSave", "show-1-sr2", "fp16"), ("CheckpointSave", "show-1-sr2", "fp32")])
def test_what_the_core_saves_is_loaded_again(pack, load, clip, vae, tmp_path, monkeypatch, node, name, dtype):
    import comfy_extras.nodes_model_merging as merging
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    library, read, host = pack("show1_core.library"), pack("show1_core.checkpoints").read_checkpoint, pack("nodes.host")
    model, saver = load(name, dtype), getattr(merging, node)()
    if node == "ModelSave":
        saver.save(model, "saved")
    else:
        saver.save(model, no_text(), vae, "saved")
    (found, path), = library.unet_names([tmp_path]).items()
    assert found.startswith("saved_")
    again = host.load_model(read(path), dtype)
    assert again.model.show1.schedule == model.model.show1.schedule and again.model.show1.stage is model.model.show1.stage
    expected = model.model.diffusion_model.state_dict()
    for key, tensor in again.model.diffusion_model.state_dict().items():
        assert torch.equal(tensor, expected[key]), key


def no_text():
    """A CLIP of which nothing is saved."""
    from types import SimpleNamespace

    import comfy.model_patcher

    patcher = comfy.model_patcher.ModelPatcher(torch.nn.Identity(), torch.device("cpu"), torch.device("cpu"))
    return SimpleNamespace(load_model=lambda: patcher, get_sd=dict)
