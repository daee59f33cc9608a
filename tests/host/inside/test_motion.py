"""Training and inversion through their nodes, and what core nodes make of what comes out."""

from __future__ import annotations

import json
import logging
import re

import comfy.model_management as mm
import pytest
import torch
from recording import error
from safetensors.torch import load_file

PUBLISHED = ("published", "published")
SIZE = (2, 8, 8)  # frames, width, height of what is drawn
VMC, COSINE = "q k v", "frame cosine"


def pictures(frames=3, height=8, width=8, seed=0):
    return torch.rand((frames, height, width, 3), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def fresh(pack, models):
    checkpoint = pack("show1_core.checkpoints").read_checkpoint(models / "show-1-base")
    return lambda dtype="fp32": pack("nodes.host").load_model(checkpoint, dtype)


@pytest.fixture
def train(pack, t5, tmp_path, monkeypatch):
    """The node, with a temporary folder of its own."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path))
    execute = pack("nodes.motion").Show1TrainMotion.execute

    def run(model, images=None, **changed):
        images = pictures() if images is None else images
        inputs = {"steps": 3, "learning_rate": 1e-2, "rank": 4, "train": VMC, "loss": COSINE, "seed": 0, "reverse": False}
        return execute(model, t5[0], images, **{**inputs, **changed}).args

    return run


@pytest.fixture
def draw(pack, t5):
    return lambda model, **more: pack("nodes.keyframes").Show1KeyframeSampler.execute(
        model, *t5, 1, 2, 5.0, *SIZE, *PUBLISHED, **more).args[0]


def files(pack):
    return pack("show1_core.tuning.lora_files")


@pytest.mark.slow  # twenty seconds: a training for each dtype
@pytest.mark.parametrize(("dtype", "rank"), [("fp32", 4), ("bf16", 4), ("fp16", 4), ("fp32", 0)])
def test_what_is_learnt_in_any_dtype_is_loaded_by_core_nodes_in_any_other(pack, fresh, train, draw, dtype, rank):
    from comfy_extras.nodes_train import LoraModelLoader

    lora, losses, steps = train(fresh(dtype), rank=rank)
    assert steps == 3 and len(losses["loss"]) == 3 and all(torch.isfinite(torch.tensor(losses["loss"])))
    for other in ("fp32", "bf16"):
        tuned, off = (LoraModelLoader.execute(fresh(other), lora, strength).args[0] for strength in (1.0, 0.0))
        expected = draw(fresh(other))
        assert torch.equal(draw(off), expected), "strength 0 is the base, bit for bit"
        assert error(draw(tuned), expected) > 1e-5
    layers = {name.rsplit(".lora_", 1)[0].removesuffix(".diff") for name in lora if name != files(pack).RECORD}
    assert len(tuned.patches) == len(layers) == 60, "every layer of the file is applied"


@pytest.mark.slow  # together ten seconds
@pytest.mark.parametrize("name", ["q k v", "k", "temporal attention", "temporal attention and convolutions", "spatial attention",
                                  "spatial attention and convolutions"])
def test_every_set_of_layers_reaches_the_host(pack, fresh, train, name):
    from comfy_extras.nodes_train import LoraModelLoader

    model = fresh()
    lora = train(model, train=name, steps=1)[0]
    expected = pack("show1_core.tuning.adapters").layers_of(model.model.diffusion_model, name)
    tuned = LoraModelLoader.execute(model, lora, 1.0).args[0]
    assert set(tuned.patches) == {f"diffusion_model.{layer}.weight" for layer in expected}


def test_the_host_adds_to_the_weights_what_training_added_to_results(pack, fresh, train, t5):
    from comfy_extras.nodes_train import LoraModelLoader

    model = fresh()
    lora = train(model, train="temporal attention and convolutions")[0]
    unet, kinds = model.model.diffusion_model, pack("show1_core.tuning.adapters")
    x, time, text = pictures(3).movedim(-1, 0)[None].clone(), torch.tensor(300), t5[0][0][0].clone()
    plain = pack("show1_core.models.unet").UNet.forward
    with kinds.attached(unet, files(pack).adapters_from(lora, unet)):
        hooked = plain(unet, x, time, text)
    tuned = LoraModelLoader.execute(model, lora, 1.0).args[0]
    mm.load_models_gpu([tuned])
    assert error(plain(tuned.model.diffusion_model, x, time, text), hooked) < 1e-5
    tuned.detach()


def test_saved_by_core_and_loaded_by_core_it_is_the_same(pack, fresh, train, draw, tmp_path, monkeypatch):
    import comfy.utils
    import folder_paths
    from comfy.sd import load_lora_for_models
    from comfy_extras.nodes_train import LoraModelLoader, SaveLoRA

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    lora, _, steps = train(fresh())
    SaveLoRA.execute(lora, "loras/motion", steps)
    (file,) = (tmp_path / "loras").glob("*.safetensors")
    expected = draw(LoraModelLoader.execute(fresh(), lora, 1.0).args[0])
    loaded, _ = load_lora_for_models(fresh(), None, comfy.utils.load_torch_file(str(file)), 1.0, 0.0)
    assert torch.equal(draw(loaded), expected)
    record = files(pack).record_in(load_file(file))
    assert (record.stage, record.train, record.loss, record.steps, record.rank) == ("keyframes", VMC, COSINE, 3, 4)


@pytest.mark.slow  # together ten seconds
def test_a_hook_does_what_the_loader_does_and_may_stop_after_some_steps(fresh, train, pack, t5):
    import comfy.hooks
    from comfy_extras.nodes_train import LoraModelLoader

    lora = train(fresh())[0]
    sample = pack("nodes.keyframes").Show1KeyframeSampler.execute
    hooks = comfy.hooks.create_hook_lora(lora, 1.0, 0.0)
    hooked = [comfy.hooks.set_hooks_for_conditioning(text, hooks) for text in t5]
    scheduled = hooks.clone()
    frames = comfy.hooks.HookKeyframeGroup()
    frames.add(comfy.hooks.HookKeyframe(1.0, start_percent=0.0))
    frames.add(comfy.hooks.HookKeyframe(0.0, start_percent=0.5))
    scheduled.set_keyframes_on_hooks(frames)
    partly = [comfy.hooks.set_hooks_for_conditioning(text, scheduled) for text in t5]
    run = lambda model, texts: sample(model, *texts, 1, 4, 5.0, *SIZE, *PUBLISHED).args[0]  # noqa: E731
    loaded, plain = run(LoraModelLoader.execute(fresh(), lora, 1.0).args[0], t5), run(fresh(), t5)
    assert error(run(fresh(), hooked), loaded) < 1e-5
    first_half = run(fresh(), partly)
    assert error(first_half, loaded) > 1e-6 and error(first_half, plain) > 1e-6


@pytest.mark.slow  # together ten seconds
def test_two_add_up(fresh, train, draw):
    from comfy_extras.nodes_train import LoraModelLoader

    motion, style = train(fresh())[0], train(fresh(), train="spatial attention", loss="noise", seed=1)[0]
    one = LoraModelLoader.execute(fresh(), motion, 1.0).args[0]
    both = LoraModelLoader.execute(one, style, 0.5).args[0]
    assert len(both.patches) > len(one.patches) and error(draw(both), draw(one)) > 1e-6


def test_it_goes_on_from_a_lora(fresh, train):
    whole, losses, _ = train(fresh(), steps=4)
    half = train(fresh(), steps=2)[0]
    rest, again, steps = train(fresh(), steps=2, lora=half)
    assert steps == 4 and again["loss"][:2] == pytest.approx(losses["loss"][:2], abs=1e-6)
    assert again["loss"][2] == pytest.approx(losses["loss"][2], rel=1e-4), "the same draw from the same weights"


def test_what_the_user_cancels_is_gone_on_with(fresh, train, tmp_path, monkeypatch):
    import comfy.utils

    told = []

    def cancelling(self, value, total=None, preview=None):
        told.append(value)
        if value == 2 and told.count(2) == 1:
            raise mm.InterruptProcessingException

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", cancelling)
    with pytest.raises(mm.InterruptProcessingException):
        train(fresh(), steps=4)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    _, losses, steps = train(fresh(), steps=4)
    assert told == [1, 2, 3, 4] and steps == 4 and len(losses["loss"]) == 4, "no step is done twice"
    assert not list(tmp_path.rglob("*.safetensors")), "nothing is left behind"


def test_a_loss_that_is_no_number_says_so_and_a_lower_rate_goes_on(fresh, train, monkeypatch, pack):
    motion = pack("show1_core.tuning.motion")
    plain, calls = motion.loss_of, []

    def failing(*inputs):
        calls.append(1)
        return plain(*inputs) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(motion, "loss_of", failing)
    with pytest.raises(RuntimeError, match="nan in step 3 .* what 1 steps have learnt is kept. Lower learning_rate, 0.01 now"):
        train(fresh(), steps=4)
    _, losses, steps = train(fresh(), steps=4, learning_rate=1e-3)
    assert steps == 4 and len(calls) == 3 + 3, "the first step was not done again"


def test_a_preview_is_shown_when_it_is_asked_for(fresh, train, monkeypatch):
    import comfy.utils

    shown = []
    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", lambda bar, value, total, preview: shown.append(preview))
    train(fresh(), steps=4, preview_every=2)
    assert [picture is not None for picture in shown] == [False, True, False, True] and shown[1][0] == "JPEG"
    assert min(shown[1][1].size) >= 8


def test_progress_and_warnings_stand_on_the_node(pack, fresh, train, monkeypatch):
    told = []
    monkeypatch.setattr(pack("nodes.host.training_progress"), "on_node", lambda sentences: told.append(list(sentences)))
    lora = files(pack).with_record(train(fresh())[0], files(pack).Record(base="0123", losses=(0.5,)))
    assert re.fullmatch(r"step 3 of 3, loss \d\.\d{4}, 0 s left", told[-1][0]) and len(told[-1]) == 1
    monkeypatch.setattr(pack("nodes.host.training_progress"), "SHOW_SECONDS", -1.0)
    told.clear()
    train(fresh(), lora=lora)
    assert [sentences[-1].split(",")[0] for sentences in told] == [f"step {step} of 4" for step in (2, 3, 4)]
    assert all("trained on another base (0123)" in sentences[0] for sentences in told)
    duration = pack("nodes.host.training_progress").duration
    assert [duration(seconds) for seconds in (0.4, 59.6, 200)] == ["0 s", "1 min 0 s", "3 min 20 s"]


def test_backwards_is_the_reversed_clip(fresh, train):
    ahead, back = pictures(), pictures().flip(0)
    assert train(fresh(), ahead, reverse=True)[1] == train(fresh(), back)[1]


@pytest.mark.slow  # ten seconds: a training for each
@pytest.mark.parametrize("shape", [(200, 40, 64), (2, 41, 67), (5, 300, 17), (3, 8, 8)])
def test_any_number_and_size_of_frames(fresh, train, shape):
    _, losses, _ = train(fresh(), pictures(*shape), steps=1)
    assert torch.isfinite(torch.tensor(losses["loss"])).all()


@pytest.mark.parametrize(("images", "said"), [
    (pictures(1), "images has 1 frame and loss is frame cosine"), (pictures() * float("nan"), "images holds NaN"),
    (torch.zeros(0, 8, 8, 3), "images has 0 frames"), (torch.zeros(3, 8, 8, 1), "expected frames of height")])
def test_clips_that_cannot_be_learnt_are_refused_in_a_sentence(fresh, train, images, said):
    with pytest.raises(ValueError, match=said):
        train(fresh(), images)


def test_another_model_and_another_models_lora_are_refused(pack, fresh, train, load, t5):
    with pytest.raises(ValueError, match="loss is 'frame cosine', which is for the motion of keyframes; .* set loss to noise"):
        train(load("show-1-sr1"))
    with pytest.raises(ValueError, match="which is for the motion of keyframes; the interpolation model .* learns looks alone"):
        train(load("show-1-interpolation"), loss="frame error")
    with pytest.raises(ValueError, match="lora was made for another base"):
        train(fresh(), lora={"diffusion_model.conv_in.diff": torch.zeros(1)})


def test_a_lora_of_a_base_of_the_same_size_is_said_to_be_of_another(pack, fresh, train, caplog):
    lora, record = dict(train(fresh())[0]), files(pack).Record(base="0123")
    with caplog.at_level(logging.WARNING):
        train(fresh(), lora=files(pack).with_record(lora, record), steps=1)
    assert "trained on another base (0123)" in caplog.text


@pytest.mark.parametrize("rank", [4, 0])
def test_a_lora_of_another_size_is_said_to_do_nothing_when_it_is_used(fresh, train, draw, caplog, rank):
    from comfy_extras.nodes_train import LoraModelLoader

    lora = train(fresh(), rank=rank, train="k", steps=1)[0]
    narrow = {name: value[..., :5] if name.endswith(("lora_down.weight", ".diff")) else value for name, value in lora.items()}
    with caplog.at_level(logging.WARNING):
        draw(LoraModelLoader.execute(fresh(), lora, 1.0).args[0])
        assert "another base" not in caplog.text
        draw(LoraModelLoader.execute(fresh(), narrow, 1.0).args[0])
    assert "A LoRA, or a model merged in, was made for another base: 20 of the 20 changes" in caplog.text


def test_sampling_goes_on_as_before_after_a_training(fresh, train, draw):
    model = fresh()
    before = draw(model)
    train(model)
    assert torch.equal(draw(model), before)
    assert not any(p.requires_grad for p in model.model.parameters())


@pytest.mark.slow  # together ten seconds
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_inverted_noise_goes_into_the_keyframe_sampler(pack, fresh, draw, t5, dtype):
    invert, model = pack("nodes.motion").Show1Invert.execute, fresh(dtype)
    noise = invert(model, t5[1], pictures(3), 4, 1.0, 0).args[0]
    assert noise["samples"].shape == (1, 3, 3, 8, 8) and bool(torch.isfinite(noise["samples"]).all())
    drawn = draw(model, noise=noise)
    assert drawn.shape == (3, 8, 8, 3) and bool(torch.isfinite(drawn).all())
    other = invert(model, t5[1], pictures(3, seed=9), 4, 1.0, 0).args[0]
    assert error(draw(model, noise=other), drawn) > 1e-3


def test_without_a_share_of_the_clip_the_noise_is_that_of_the_seed(pack, fresh, draw, t5):
    model = fresh()
    noise = pack("nodes.motion").Show1Invert.execute(model, t5[1], pictures(2), 2, 0.0, 1).args[0]
    assert torch.equal(draw(model, noise=noise), draw(model))


def test_inversion_is_the_librarys(pack, fresh, t5):
    """The host's sampling walks the very way of the library's."""
    model, clip = fresh(), pictures(3).movedim(-1, 0)[None] * 2 - 1
    found = pack("nodes.host").inverted(model, t5[1], clip, 6, lambda *told: None)
    core, inversion = pack("show1_core.sampling"), pack("show1_core.tuning.inversion")
    unet = pack("show1_core.checkpoints").load_unet(model.model.show1.source)
    text = unet.prepare(t5[1][0][0])
    denoise = core.NetworkDenoiser(unet, model.model.show1.schedule, text, pack("show1_core.cascade").Condition(), 1.0)
    sigmas = inversion.rising_sigmas(model.model.show1.schedule, 6).tolist()
    assert error(found, inversion.invert(denoise, clip, sigmas)) < 1e-4


@pytest.mark.parametrize(("noise", "said"), [
    (torch.zeros(1, 4, 2, 8, 8), "expected finite numbers"), (torch.zeros(1, 3, 8, 8), "expected finite numbers"),
    (torch.full((1, 3, 2, 8, 8), float("inf")), "expected finite numbers"),
    (torch.zeros(1, 3, 2, 9, 8), "the keyframe size is 8x9")])
def test_noise_that_fits_nothing_is_refused(fresh, draw, noise, said):
    with pytest.raises(ValueError, match=said):
        draw(fresh(), noise={"samples": noise})


def test_noise_of_another_size_than_the_images_is_refused(fresh, draw):
    with pytest.raises(ValueError, match="noise is of 2 frames of 8x8 and images of 3 frames of 16x8"):
        draw(fresh(), noise={"samples": torch.zeros(1, 3, 2, 8, 8)}, images=pictures(3, 8, 16), denoise=0.5)


def test_the_record_says_the_prompt(pack, fresh, t5, train):
    states, values = t5[0][0]
    told = [[states, {**values, "show1_prompt": "a cat is roaring"}]]
    run = pack("nodes.motion").Show1TrainMotion.execute
    lora = run(fresh(), told, pictures(), 1, 1e-3, 2, VMC, COSINE, 0, False).args[0]
    record = json.loads(bytes(lora[files(pack).RECORD].tolist()))
    assert record["prompt"] == "a cat is roaring" and record["frames"] and record["base"]
