"""Given frames through core samplers, and windows of time with noise that comes again, in a real host."""

from __future__ import annotations

from inspect import signature

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")
CHOICES = dict(zip(("sampler_name", "scheduler"), PUBLISHED))
LEVEL = 1 / 255


@pytest.fixture(scope="module")
def given(pack):
    return pack("nodes.given_frames").Show1GivenFrames.execute


def pictures(count: int, height: int = 8, width: int = 16) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(0))


def drawn(model, texts, latent, steps=4):
    """Keyframes around given frames, by the core's sampler and its pixel VAE."""
    import nodes

    vae, = nodes.VAELoader().load_vae("pixel_space")
    out, = nodes.KSampler().sample(model, 3, steps, 5.0, "dpmpp_2m", "normal", *texts, latent)
    return nodes.VAEDecode().decode(vae, out)[0]


@pytest.mark.parametrize("first, last", [(1, 0), (0, 1), (1, 1), (2, 1)])
def test_given_frames_are_kept_and_the_others_drawn(given, load, t5, first, last) -> None:
    images = pictures(first + last)
    latent, large_first, large_last = given(5, 16, 8, images[:first] if first else None, images[first:] if last else None).args
    clip = drawn(load("show-1-base"), t5, latent)
    kept = [*range(first), *range(5 - last, 5)]
    assert clip.shape == (5, 8, 16, 3) and (clip[kept] - images).abs().max() <= 2 * LEVEL
    others = [frame for frame in range(5) if frame not in kept]
    free = drawn(load("show-1-base"), t5, {"samples": torch.zeros(1, 3, 5, 8, 16)})
    assert error(clip[others], free[others]) > 1e-3, "the others look at what is given"
    assert (large_first is None) == (first == 0) and (large_last is None) == (last == 0)
    for large in (large_first, large_last):
        assert large is None or large.shape == (1, 32, 64, 3)


def test_pictures_of_any_size_are_taken(given) -> None:
    latent, first, last = given(8, 64, 40, pictures(1, 300, 200), pictures(3, 20, 90)).args
    assert latent["samples"].shape == (1, 3, 8, 40, 64) and first.shape == last.shape == (1, 160, 256, 3)
    assert latent["noise_mask"].flatten(2).amin(dim=-1).shape == (1, 1)


def test_the_enlarged_last_frame_is_followed(pack, load, t5) -> None:
    clip, node = pictures(10, 8, 8), pack("nodes.pixel_sr").Show1PixelSR.execute
    last = pictures(1, 32, 32)
    run = (load("show-1-sr1"), *t5, clip, 1, 2, 7.0, 250, *PUBLISHED)
    plain, told = node(*run).args[0], node(*run, last_frame=last).args[0]
    assert error(told[2:], plain[2:]) > 1e-3 and torch.equal(told[:2], plain[:2])
    with pytest.raises(ValueError, match="last_frame is 16x16; expected four times images, 32x32"):
        node(*run, last_frame=pictures(1, 16, 16))


def windows(model, length=2, overlap=1, dim=2):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(model, length, overlap, "standard_static", 1, False, "pyramid", dim).args[0]


@pytest.mark.parametrize("frames, differs", [(2, False), (6, True)])
def test_free_noise_is_for_clips_longer_than_a_window(pack, load, t5, frames, differs) -> None:
    node, model = pack("nodes.keyframes").Show1KeyframeSampler.execute, windows(load("show-1-base"), 3)
    plain, free = (node(model, *t5, 3, 3, 5.0, frames, 16, 8, *PUBLISHED, free_noise=on).args[0] for on in (False, True))
    assert (error(free, plain) > 1e-3) is differs and bool(torch.isfinite(free).all())


@pytest.mark.parametrize("dim", [None, 0])
def test_free_noise_without_windows_of_time_is_refused(pack, load, t5, dim) -> None:
    model = load("show-1-base") if dim is None else windows(load("show-1-base"), dim=dim)
    with pytest.raises(ValueError, match="the model has no windows of time, which free noise is for; put the core Context"):
        pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, 3, 2, 5.0, 6, 16, 8, *PUBLISHED, free_noise=True)


def test_windows_of_another_dimension_are_told(load, t5, caplog) -> None:
    import nodes

    nodes.KSampler().sample(windows(load("show-1-base"), dim=0), 3, 2, 5.0, "euler", "simple", *t5,
                            {"samples": torch.zeros(1, 3, 4, 8, 16)})
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Show-1: Context Windows")]
    assert len(said) == 1 and "set dim to 2" in said[0]


def test_room_for_a_long_clip_is_bounded(load) -> None:
    """Pairs of 64 keyframes ask the host for no more room than those of ten, and are done in groups."""
    model = load("show-1-interpolation").model
    pairs = [model.memory_required([2 * count, 3, 5, 40, 64]) for count in (7, 8, 63, 1000)]
    assert pairs[0] < pairs[1] == pairs[2] == pairs[3]
    frames = [model.memory_required([2 * count, 4, 40, 72]) for count in (29, 253)]
    assert frames[0] < frames[1], "a batch of latents is one clip, which is not done in groups"


def test_an_end_without_a_picture_is_refused_where_a_picture_is_needed(pack, given, load) -> None:
    _, large_first, large_last = given(5, 16, 8, pictures(1), None).args
    assert large_first is not None and large_last is None
    with pytest.raises(ValueError, match="images is nothing: the node it comes from gave no picture"):
        pack("nodes.checks").frames(large_last, "images")


@pytest.mark.parametrize("part, node, name, arguments", [
    ("pixel_sr", "Show1FirstFrameSR", "image", {"seed": 1, "steps": 2, "cfg": 4.0, "noise_level": 250, **CHOICES}),
    ("pixel_sr", "Show1PixelSR", "images", {"seed": 1, "steps": 2, "cfg": 7.0, "noise_level": 250, **CHOICES}),
    ("interpolation", "Show1Interpolator", "images", {"seed": 1, "steps": 2, "cfg": 4.0, **CHOICES}),
    ("core_samplers", "Show1InterpolationConditioning", "images", {}),
    ("core_samplers", "Show1JoinPairs", "images", {}),
    ("core_samplers", "Show1PixelSRConditioning", "images", {"seed": 1, "noise_level": 250}),
    ("drafts", "Show1PickDraft", "images", {"take": 1, "frames": 2})])
def test_nothing_in_the_place_of_frames_is_said(pack, load, t5, part, node, name, arguments) -> None:
    node = getattr(pack(f"nodes.{part}"), node)
    model = {"Show1FirstFrameSR": "IF-II-L-v1.0", "Show1PixelSR": "show-1-sr1", "Show1Interpolator": "show-1-interpolation"}
    wanted = {"model": lambda: load(model[node.__name__]), "positive": lambda: t5[0], "negative": lambda: t5[1]}
    given = {one: make() for one, make in wanted.items() if one in signature(node.execute).parameters}
    with pytest.raises(ValueError, match=f"^{name} is nothing: the node it comes from gave no picture"):
        node.execute(**given, **{name: None}, **arguments)
