"""The noise of long clips in core samplers: windows of the first one's frames, and the keyframe node's bits."""

from __future__ import annotations

import pytest
import torch
from recording import error

LENGTH, OVERLAP, FRAMES, SEED, LEVEL = 3, 1, 7, 3, 1 / 255


@pytest.fixture(scope="module")
def free(pack):
    """The NOISE of a seed and a model."""
    return lambda seed, model: pack("nodes.free_noise").Show1FreeNoise.execute(seed, model).args[0]


def windows(model, dim: int = 2):
    """The model, seeing a few frames at once."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(model, LENGTH, OVERLAP, "standard_static", 1, False, "pyramid", dim).args[0]


def empty(batch: int = 1, frames: int = FRAMES) -> dict:
    return {"samples": torch.zeros(batch, 3, frames, 8, 16)}


def drawn(model, texts, noise, latent, sampler: str = "euler", steps: int = 3) -> torch.Tensor:
    """A clip by the core's SamplerCustomAdvanced."""
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import BasicScheduler, CFGGuider, SamplerCustomAdvanced

    sigmas = BasicScheduler.execute(model, "normal", steps, 1.0).args[0]
    guider = CFGGuider.execute(model, *texts, 5.0).args[0]
    return SamplerCustomAdvanced.execute(noise, guider, comfy.samplers.sampler_object(sampler), sigmas, latent).args[0]["samples"]


def test_later_frames_are_those_of_the_first_window(free, load) -> None:
    noise = free(SEED, windows(load("show-1-base"))).generate_noise(empty(2))
    plain = torch.randn((1, 3, FRAMES, 8, 16), generator=torch.Generator().manual_seed(SEED))
    assert noise.shape == (2, 3, FRAMES, 8, 16) and noise.device.type == "cpu"
    assert torch.equal(noise[:1, :, :LENGTH], plain[:, :, :LENGTH])
    stride = LENGTH - OVERLAP
    for take in noise:
        for start in range(0, FRAMES - LENGTH, stride):
            place, source = start + LENGTH, take[:, start:start + stride].unbind(1)
            came_again = [next(i for i, frame in enumerate(source) if torch.equal(frame, later))
                          for later in take[:, place:place + stride].unbind(1)]
            assert sorted(came_again) == list(range(stride)), "each once"


def test_every_take_of_a_batch_has_a_seed_of_its_own(free, load) -> None:
    """The next one; so a take is found again alone, by its seed or by its place in the batch."""
    model = windows(load("show-1-base"))
    batch = free(SEED, model).generate_noise(empty(3))
    assert torch.equal(batch, free(SEED, model).generate_noise(empty(3)))
    for take in range(3):
        assert torch.equal(batch[take:take + 1], free(SEED + take, model).generate_noise(empty()))
    some = free(SEED, model).generate_noise({**empty(2), "batch_index": [2, 0]})
    assert torch.equal(some, batch[[2, 0]]) and not torch.equal(batch[0], batch[1])


@pytest.mark.parametrize("frames", [1, LENGTH])
def test_a_clip_of_one_window_has_plain_noise(free, load, frames) -> None:
    plain = torch.randn((1, 3, frames, 8, 16), generator=torch.Generator().manual_seed(SEED))
    assert torch.equal(free(SEED, windows(load("show-1-base"))).generate_noise(empty(frames=frames)), plain)


@pytest.mark.parametrize("sampler, seed", [("euler", SEED), ("euler_ancestral", 2**64 - 1)])
def test_the_keyframe_node_draws_the_same_bits(free, pack, load, t5, sampler, seed) -> None:
    model = windows(load("show-1-base"))
    images = pack("nodes.keyframes").Show1KeyframeSampler.execute(
        model, *t5, seed, 3, 5.0, FRAMES, 16, 8, sampler, "normal", free_noise=True).args[0]
    clip = drawn(model, t5, free(seed, model), empty(), sampler)
    assert torch.equal(pack("show1_core.cascade").to_images(clip), images)


def test_a_clip_of_one_window_is_what_ksampler_draws(free, pack, load, t5) -> None:
    """So the template that begins with a picture draws eight keyframes as it would without windows."""
    import nodes

    picture = torch.rand(1, 8, 16, 3, generator=torch.Generator().manual_seed(0))
    latent = pack("nodes.given_frames").Show1GivenFrames.execute(LENGTH, 16, 8, picture).args[0]
    model = load("show-1-base")
    plain, = nodes.KSampler().sample(model, SEED, 3, 5.0, "dpmpp_2m", "normal", *t5, latent)
    assert torch.equal(drawn(windows(model), t5, free(SEED, windows(model)), latent, "dpmpp_2m"), plain["samples"])


def test_given_frames_are_kept_in_a_long_clip(free, pack, load, t5) -> None:
    from comfy_extras.nodes_custom_sampler import Noise_RandomNoise

    model, pictures = windows(load("show-1-base")), torch.rand(2, 8, 16, 3, generator=torch.Generator().manual_seed(0))
    latent = pack("nodes.given_frames").Show1GivenFrames.execute(FRAMES, 16, 8, pictures[:1], pictures[1:]).args[0]
    clip, plain = (drawn(model, t5, noise, latent) for noise in (free(SEED, model), Noise_RandomNoise(SEED)))
    kept = pack("show1_core.cascade").to_images(clip)[[0, -1]]
    assert (kept - pictures).abs().max() <= 2 * LEVEL
    assert bool(torch.isfinite(clip).all()) and error(clip[:, :, 1:-1], plain[:, :, 1:-1]) > 1e-3


@pytest.mark.parametrize("steps", [1, 3])  # of one step the host's times are as many as the takes
def test_every_take_of_a_batch_is_drawn_in_windows(free, load, t5, steps) -> None:
    model = windows(load("show-1-base"))
    clips = drawn(model, t5, free(SEED, model), empty(2), steps=steps)
    for take, clip in enumerate(clips):
        alone = drawn(model, t5, free(SEED + take, model), empty(), steps=steps)
        assert error(clip[None], alone) <= 1e-5


def test_drafts_are_drawn_in_windows(pack, load, t5) -> None:
    model = windows(load("show-1-base"))
    shape = (FRAMES, 16, 8, "published", "published")
    images = pack("nodes.drafts").Show1KeyframeDrafts.execute(model, *t5, SEED, 3, 5.0, 2, *shape).args[0]
    alone = pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, SEED + 1, 3, 5.0, *shape).args[0]
    assert error(images[FRAMES:], alone) <= 1e-5


@pytest.mark.parametrize("samples", [torch.zeros(1, 4, 8, 16), torch.zeros(0, 3, 5, 8, 16), torch.zeros(3, 8)])
def test_what_is_no_clip_is_refused(free, load, samples) -> None:
    with pytest.raises(ValueError, match=r"the latent has shape \(.*\), which is no clip; expected \(batch, channels, frames,"):
        free(SEED, windows(load("show-1-base"))).generate_noise({"samples": samples})


def test_sounds_beside_frames_are_refused(free, load) -> None:
    """The core keeps both in one latent for models that have sound."""
    from comfy.nested_tensor import NestedTensor

    both = NestedTensor([torch.zeros(1, 3, 5, 8, 16), torch.zeros(1, 8, 9, 4)])
    with pytest.raises(ValueError, match="the latent has several parts, which is no clip"):
        free(SEED, windows(load("show-1-base"))).generate_noise({"samples": both})


@pytest.mark.parametrize("dim", [None, 0])
def test_a_model_without_windows_of_time_is_refused(free, load, dim) -> None:
    model = load("show-1-base") if dim is None else windows(load("show-1-base"), dim)
    with pytest.raises(ValueError, match="the model has no windows of time, which free noise is for; put the core Context"):
        free(SEED, model)
