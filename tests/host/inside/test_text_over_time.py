"""Prompts that change over time, in the stages of a real host: by our nodes, by core samplers, in windows of time."""

from __future__ import annotations

import logging

import pytest
import torch
from recording import error

PUBLISHED = ("published", "published")
RIGHT, LEFT = "a red ball moving right", "a blue cube moving left"


@pytest.fixture(scope="module")
def encode(pack, text):
    """Prompts through our node, with the miniature's T5: positive, negative."""
    clip, node = text("show-1-base"), pack("nodes.text").Show1T5Encode
    return lambda prompt: node.execute(clip, prompt, "blur").args


@pytest.fixture(scope="module")
def draw(pack, load):
    """Keyframes under a text, by our node."""
    node = pack("nodes.keyframes").Show1KeyframeSampler

    def draw(texts, model=None, frames=4):
        with torch.inference_mode():
            return node.execute(model or load("show-1-base"), *texts, 3, 3, 5.0, frames, 16, 8, *PUBLISHED).args[0]

    return draw


def test_equal_prompts_are_the_plain_prompt(encode, draw) -> None:
    assert error(draw(encode(f"0: {RIGHT} | 2: {RIGHT}")), draw(encode(RIGHT))) <= 1e-5


def test_one_prompt_over_time_is_the_plain_prompt(encode, draw) -> None:
    assert torch.equal(draw(encode(f"0: {RIGHT}")), draw(encode(RIGHT)))


def test_a_prompt_that_comes_later_changes_the_clip(encode, draw) -> None:
    plain, changed = draw(encode(RIGHT)), draw(encode(f"0: {RIGHT} | 2: {LEFT}"))
    assert error(changed, plain) > 1e-3
    assert torch.equal(draw(encode(f"0: {RIGHT} | 4: {LEFT}")), plain) or error(
        draw(encode(f"0: {RIGHT} | 4: {LEFT}")), plain) <= 1e-5, "there is no keyframe 4"


def test_guidance_still_asks_once_a_step(encode, draw, caplog) -> None:
    """The half that steers away shares the call, as without."""
    caplog.set_level(logging.INFO)
    draw(encode(f"0: {RIGHT} | 2: {LEFT}"))
    assert any("guidance joined; 3 calls" in record.getMessage() for record in caplog.records)


def test_the_core_sampler_knows_it_too(encode, load, draw) -> None:
    import nodes

    def sample(texts):
        out, = nodes.KSampler().sample(load("show-1-base"), 3, 3, 5.0, "euler", "simple", *texts,
                                       {"samples": torch.zeros(1, 3, 4, 8, 16)})
        return out["samples"]

    plain = sample(encode(RIGHT))
    assert error(sample(encode(f"0: {RIGHT} | 2: {RIGHT}")), plain) <= 1e-5
    assert error(sample(encode(f"0: {RIGHT} | 2: {LEFT}")), plain) > 1e-3


@pytest.mark.parametrize("prompt", [RIGHT, f"0: {RIGHT} | 2: {LEFT}"])
def test_what_set_clip_hooks_has_set_goes_with_the_text(pack, text, encode, load, draw, prompt) -> None:
    """A LoRA of the network, by the host's hooks, does what it does when it is set on the text itself."""
    import comfy.hooks
    from comfy_extras.nodes_hooks import SetClipHooks

    layer = "down_blocks.1.temp_attentions.0.proj_in"
    rows, columns, *_ = load("show-1-base").model.diffusion_model.get_parameter(f"{layer}.weight").shape
    name, generator = f"diffusion_model.{layer}.lora_", torch.Generator().manual_seed(0)
    hooks = comfy.hooks.create_hook_lora({f"{name}up.weight": torch.randn(rows, 4, generator=generator),
                                          f"{name}down.weight": torch.randn(4, columns, generator=generator)}, 1.0, 0.0)
    clip, = SetClipHooks().apply_hooks(text("show-1-base"), False, True, hooks)
    hooked, plain = pack("nodes.text").Show1T5Encode.execute(clip, prompt, "blur").args, encode(prompt)
    assert all(values["hooks"] is hooks for (_, values), in hooked) and not any("hooks" in values for (_, values), in plain)
    expected = draw([comfy.hooks.set_hooks_for_conditioning(one, hooks) for one in plain])
    assert error(draw(hooked), expected) <= 1e-5 and error(expected, draw(plain)) > 1e-3


def test_windows_of_time_see_the_texts_of_their_frames(encode, load, draw, pack) -> None:
    """Windows without overlap are clips of their own: the second of them is under the later prompt alone."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    windows = ContextWindowsManualNode.execute(load("show-1-base"), 2, 0, "standard_static", 1, False, "flat", 2).args[0]
    changed = draw(encode(f"0: {RIGHT} | 2: {LEFT}"), windows)
    assert error(changed[:2], draw(encode(RIGHT), windows)[:2]) <= 1e-5
    assert error(changed[2:], draw(encode(LEFT), windows)[2:]) <= 1e-5


@pytest.mark.slow  # every stage is run
def test_later_stages_see_the_prompt_of_their_place(encode, load, pack) -> None:
    """Interpolation pair by pair; pixel super-resolution window by window, four frames to a keyframe."""
    frames = torch.rand(3, 8, 16, 3, generator=torch.Generator().manual_seed(0))
    node = pack("nodes.interpolation").Show1Interpolator

    def interpolate(prompt):
        return node.execute(load("show-1-interpolation"), *encode(prompt), frames, 1, 3, 4.0, *PUBLISHED).args[0]

    changed, right, left = (interpolate(prompt) for prompt in (f"0: {RIGHT} | 2: {LEFT}", RIGHT, LEFT))
    assert error(changed[:4], right[:4]) <= 1e-5 and error(changed, right) > 1e-4, "the last frame is keyframe 2"
    later = interpolate(f"0: {LEFT} | 1: {RIGHT}")
    assert error(later[4:], right[4:]) <= 1e-5 and error(later[:4], left[:4]) < error(right[:4], left[:4])

    upscale, clip = pack("nodes.pixel_sr").Show1PixelSR, torch.rand(10, 8, 8, 3, generator=torch.Generator().manual_seed(0))

    def large(prompt):
        return upscale.execute(load("show-1-sr1"), *encode(prompt), clip, 1, 2, 7.0, 250, *PUBLISHED).args[0]

    assert error(large(f"0: {RIGHT} | 3: {LEFT}"), large(RIGHT)) <= 1e-5, "10 frames end before keyframe 3"
    assert error(large(f"0: {RIGHT} | 1: {LEFT}"), large(RIGHT)) > 1e-3


def test_several_takes_are_all_under_it(encode, load, pack) -> None:
    drafts = pack("nodes.drafts").Show1KeyframeDrafts
    texts = encode(f"0: {RIGHT} | 2: {LEFT}")
    images = drafts.execute(load("show-1-base"), *texts, 3, 3, 5.0, 2, 4, 16, 8, *PUBLISHED).args[0]
    alone = pack("nodes.keyframes").Show1KeyframeSampler.execute(load("show-1-base"), *texts, 4, 3, 5.0, 4, 16, 8, *PUBLISHED)
    assert error(images[4:], alone.args[0]) <= 1e-5


@pytest.mark.parametrize("prompt, sentence", [("0: a | b", "no keyframe's number"), ("0: a | 0: b", "each later than the one")])
def test_bad_ones_are_refused_before_anything_is_encoded(encode, prompt, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        encode(prompt)


@pytest.mark.parametrize("change", [
    lambda nodes, text, other: nodes.ConditioningZeroOut().zero_out(text),
    lambda nodes, text, other: nodes.ConditioningConcat().concat(text, other),
    lambda nodes, text, other: nodes.ConditioningConcat().concat(other, text),
    lambda nodes, text, other: nodes.ConditioningAverage().addWeighted(other, text, 0.5)],
    ids=["nothing", "longer", "behind another", "within another"])
def test_what_core_nodes_make_of_it_they_make_of_every_text(encode, draw, change) -> None:
    import nodes

    negative, other = encode(RIGHT)[1], encode("a green cone")[0]
    one, two, plain = (change(nodes, encode(prompt)[0], other)[0] for prompt in (
        f"0: {RIGHT} | 2: {RIGHT}", f"0: {RIGHT} | 2: {LEFT}", RIGHT))
    drawn = draw((plain, negative))
    assert error(draw((one, negative)), drawn) <= 1e-5
    goes_on = "show1_text_over_time" in two[0][1] and bool(two[0][0].any())
    assert error(draw((two, negative)), drawn) > 1e-4 if goes_on else torch.equal(draw((two, negative)), drawn)


def test_a_longer_negative_beside_it(encode, draw) -> None:
    """The host repeats the shorter of two texts that share a call."""
    import nodes

    longer, = nodes.ConditioningConcat().concat(encode(RIGHT)[1], encode("a green cone")[0])
    texts = [encode(prompt)[0] for prompt in (RIGHT, f"0: {RIGHT} | 2: {RIGHT}", f"0: {RIGHT} | 2: {LEFT}")]
    plain, same, other = (draw((text, longer)) for text in texts)
    assert error(same, plain) <= 1e-5 and error(other, plain) > 1e-3


def test_a_change_of_its_first_text_alone_is_refused(encode, draw) -> None:
    import nodes

    (text, negative), other = encode(f"0: {RIGHT} | 2: {LEFT}"), encode("a green cone")[0]
    half, whole = (nodes.ConditioningAverage().addWeighted(text, other, share)[0] for share in (0.5, 1.0))
    with pytest.raises(ValueError, match="has changed the first of its texts alone; leave that node out"):
        draw((half, negative))
    assert torch.equal(draw((whole, negative)), draw((text, negative))), "of another text nothing"
