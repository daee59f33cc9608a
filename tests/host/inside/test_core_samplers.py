"""The UNets as native models: core samplers, LoRA, hooks of the core nodes; drafts; what a run refuses."""

from __future__ import annotations

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")


@pytest.fixture
def core():
    """The host's own nodes."""
    import nodes

    assert hasattr(nodes, "KSampler"), "this is the pack's nodes package, not the host's nodes.py"
    return nodes


@pytest.fixture
def decode(core):
    vae, = core.VAELoader().load_vae("pixel_space")
    return lambda latent: core.VAEDecode().decode(vae, latent)[0]


@pytest.mark.parametrize("sampler, scheduler", [("dpmpp_2m", "normal"), ("euler", "simple"), ("ddim", "ddim_uniform")])
def test_keyframes_in_the_core_sampler(core, pack, load, t5, decode, sampler, scheduler):
    latent = pack("nodes.core_samplers").Show1EmptyPixelLatent.execute(4, 16, 8, 1).args[0]
    out, = core.KSampler().sample(load("show-1-base"), 3, 4, 5.0, sampler, scheduler, *t5, latent)
    images = decode(out)
    assert images.shape == (4, 8, 16, 3) and bool(torch.isfinite(images).all())
    assert out["samples"].abs().max() <= 1.05  # the threshold is part of the model


def test_core_sampler_over_the_published_sigmas_is_our_node(pack, load, t5):
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import CFGGuider, Noise_RandomNoise, SamplerCustomAdvanced

    model, schedule = load("show-1-base"), pack("show1_core.schedule")
    sigmas = schedule.published_sigmas(model.model.show1.schedule, 16)
    guider = CFGGuider.execute(model, *t5, 5.0).args[0]
    out = SamplerCustomAdvanced.execute(
        Noise_RandomNoise(9), guider, comfy.samplers.sampler_object("dpmpp_2m"), sigmas,
        {"samples": torch.zeros(1, 3, 2, 8, 8)}).args[0]
    ours, _ = pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, 9, 16, 5.0, 2, 8, 8, *PUBLISHED).args
    assert error(pack("show1_core.cascade").to_images(out["samples"]), ours) <= 1e-4


def test_interpolation_in_the_core_sampler(core, pack, load, t5, decode):
    core_samplers = pack("nodes.core_samplers")
    positive, negative, latent = core_samplers.Show1InterpolationConditioning.execute(*t5, torch.rand(3, 8, 16, 3)).args
    out, = core.KSampler().sample(load("show-1-interpolation"), 3, 3, 4.0, "euler", "normal", positive, negative, latent)
    joined = core_samplers.Show1JoinPairs.execute(decode(out)).args[0]
    assert joined.shape == (9, 8, 16, 3)


@pytest.mark.parametrize("first", [False, True])
def test_pixel_sr_in_the_core_sampler(core, pack, load, t5, decode, first):
    frame = torch.rand(1, 32, 64, 3) if first else None
    positive, negative, latent = pack("nodes.core_samplers").Show1PixelSRConditioning.execute(
        *t5, torch.rand(2, 8, 16, 3), 1, 250, frame).args
    out, = core.KSampler().sample(load("show-1-sr1"), 3, 2, 7.0, "euler", "normal", positive, negative, latent)
    assert decode(out).shape == (2, 32, 64, 3)


@pytest.mark.parametrize("name, latent", [("show-1-base", (1, 3, 2, 8, 8)), ("show-1-sr2", (1, 4, 2, 8, 8))])
def test_a_lora_changes_the_model_and_leaves_no_trace(core, load, t5, clip, tmp_path, name, latent):
    import folder_paths
    from safetensors.torch import save_file

    model, text = load(name), clip if name == "show-1-sr2" else t5
    layer = "down_blocks.1.temp_attentions.0.proj_in"
    weight = model.model.diffusion_model.get_parameter(f"{layer}.weight")
    generator = torch.Generator().manual_seed(0)
    save_file({f"diffusion_model.{layer}.lora_up.weight": torch.randn(weight.shape[0], 4, generator=generator),
               f"diffusion_model.{layer}.lora_down.weight": torch.randn(4, weight.shape[1], generator=generator)},
              tmp_path / "some.safetensors")
    folder_paths.add_model_folder_path("loras", str(tmp_path))

    def sample(patched):
        empty = {"samples": torch.zeros(latent)}
        return core.KSampler().sample(patched, 3, 2, 5.0, "euler", "normal", *text, empty)[0]["samples"]

    before = sample(model)
    patched, = core.LoraLoaderModelOnly().load_lora_model_only(model, "some.safetensors", 1.0)
    assert error(sample(patched), before) > 1e-3
    assert torch.equal(sample(model), before)


@pytest.mark.slow  # seven seconds
@pytest.mark.parametrize("seed, count", [(0, 1), (5, 3)])
def test_a_draft_is_the_keyframes_of_its_seed(pack, load, t5, seed, count):
    drafts, model = pack("nodes.drafts"), load("show-1-base")
    images, sheet, frames = drafts.Show1KeyframeDrafts.execute(model, *t5, seed, 16, 5.0, count, 3, 16, 8, *PUBLISHED).args
    assert len(images) == 3 * count and frames == 3 and sheet.shape[1] == count * (8 + 14)
    for take in range(count):
        picked, _ = drafts.Show1PickDraft.execute(images, take + 1, frames).args
        alone, _ = pack("nodes.keyframes").Show1KeyframeSampler.execute(
            model, *t5, seed + take, 16, 5.0, 3, 16, 8, *PUBLISHED).args
        assert error(picked, alone) <= 1e-5


@pytest.mark.parametrize("take, frames, sentence", [
    (3, 3, "take is 3; images has 2 takes"), (0, 3, "take is 0; images has 2"),
    (1, 4, "6 frames, which is no number of takes of 4"),
    (1, 7, "6 frames, which is no")])
def test_a_take_that_is_not_there_is_refused(pack, take, frames, sentence):
    with pytest.raises(ValueError, match=sentence):
        pack("nodes.drafts").Show1PickDraft.execute(torch.zeros(6, 8, 8, 3), take, frames)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_model_that_makes_no_numbers_is_named(pack, load, t5, bad):
    model = load("show-1-base").clone()
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * bad)
    with pytest.raises(RuntimeError, match="the keyframe model stopped in step 2 of 2: .* holds NaN or infinity"):
        pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, 1, 2, 5.0, 2, 8, 8, *PUBLISHED)


@pytest.mark.parametrize("images, sentence", [
    (torch.zeros(1, 8, 8, 3), "has 1 frame; expected at least 2"), (torch.zeros(0, 8, 8, 3), "has 0 frames"),
    (torch.zeros(2, 12, 8, 3), "is 8x12; expected width and height in multiples of 8, such as 8x"),
    (torch.zeros(2, 8, 8), "has shape"), (torch.full((2, 8, 8, 3), float("nan")), "NaN or infinity"),
    (torch.full((2, 8, 8, 3), float("inf")), "NaN or infinity"),
])
def test_frames_a_stage_cannot_take_are_refused(pack, load, t5, images, sentence):
    with pytest.raises(ValueError, match=sentence):
        pack("nodes.interpolation").Show1Interpolator.execute(load("show-1-interpolation"), *t5, images, 1, 2, 4.0, *PUBLISHED)


def test_alpha_is_dropped(pack, load, t5):
    images = torch.rand(2, 8, 8, 4, generator=torch.Generator().manual_seed(0))
    run = pack("nodes.interpolation").Show1Interpolator.execute
    four, _ = run(load("show-1-interpolation"), *t5, images, 1, 2, 4.0, *PUBLISHED).args
    three, _ = run(load("show-1-interpolation"), *t5, images[..., :3], 1, 2, 4.0, *PUBLISHED).args
    assert torch.equal(four, three)


@pytest.mark.parametrize("width", [32, 128])
def test_text_of_another_width_is_refused(pack, load, width):
    other = [[torch.zeros(1, 77, width), {}]]
    with pytest.raises(ValueError, match=f"positive is text of width {width}; the keyframe model .* takes 64"):
        pack("nodes.keyframes").Show1KeyframeSampler.execute(load("show-1-base"), other, other, 1, 2, 5.0, 2, 8, 8, *PUBLISHED)


def test_a_first_frame_of_another_size_is_refused(pack, load, t5):
    with pytest.raises(ValueError, match="first_frame is 16x16; expected four times images, 32x32"):
        pack("nodes.pixel_sr").Show1PixelSR.execute(
            load("show-1-sr1"), *t5, torch.zeros(2, 8, 8, 3), 1, 2, 7.0, 250, *PUBLISHED, torch.zeros(1, 16, 16, 3))


def test_the_image_models_own_sampler_keeps_its_own_schedule(pack, load, t5):
    with pytest.raises(ValueError, match="has timesteps of its own"):
        pack("nodes.pixel_sr").Show1FirstFrameSR.execute(
            load("IF-II-L-v1.0"), *t5, torch.zeros(1, 8, 8, 3), 1, 2, 4.0, 150, "published", "karras")


@pytest.mark.parametrize("checkpoint, node", [
    ("show-1-sr1", "Show-1 Pixel SR Conditioning"), ("show-1-interpolation", "Show-1 Interpolation Conditioning"),
    ("IF-II-L-v1.0", "sample with Show-1 First Frame SR")])
def test_a_model_without_its_frames_names_the_node_that_gives_them(core, load, t5, checkpoint, node):
    latent = {"samples": torch.zeros(1, 3, 2, 16, 16)}
    with pytest.raises(ValueError, match=f"without the frames that it works from; .*{node}") as refused:
        core.KSampler().sample(load(checkpoint), 1, 2, 4.0, "euler", "normal", *t5, latent)
    assert "\n" not in str(refused.value)
