"""The library draws with what was learnt: LoRAs on their stages, and the noise of a clip."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import Linear

from show1_core import CheckpointError, Pipeline, Recipe, __main__, load_unet, pipeline
from show1_core.checkpoints import read_identity
from show1_core.tuning import adapters as kinds
from show1_core.tuning import drawing
from show1_core.tuning import lora_files as files

STAGES = {"keyframes": "show-1-base", "interpolation": "show-1-interpolation", "first-frame": "IF-II-L-v1.0", "sr1": "show-1-sr1",
          "sr2": "show-1-sr2"}
RECIPE = Recipe.from_dict({"keyframes": {"frames": 3, "height": 8, "width": 16, "steps": 3, "guidance": 2.0}})


@pytest.fixture
def pipe(models: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The miniatures, with states drawn by the prompt's length in place of text encoders."""
    def states(folder, tokenizer, prompts, dtype, device):
        return torch.cat([torch.randn((1, 5, 64), generator=torch.Generator().manual_seed(len(prompt))) for prompt in prompts])

    monkeypatch.setattr(pipeline.texts, "encode_t5", states)
    monkeypatch.setattr(pipeline.texts, "encode_clip", states)
    monkeypatch.setattr(drawing, "INVERSION_STEPS", 5)
    return Pipeline.from_folder(models)


@pytest.fixture
def lora(models: Path, tmp_path: Path):
    """Writes a LoRA of a stage whose numbers are large enough to be seen; gives its file."""
    def write(stage: str, base: str | None = None, seed: int = 0) -> Path:
        folder = models / STAGES[stage]
        unet, file = load_unet(folder), tmp_path / f"{stage} {seed}.safetensors"
        made = kinds.new_adapters(unet, kinds.SPATIAL_ATTENTION, 2, seed)
        for adapter in made.layers.values():
            torch.nn.init.normal_(adapter.up, std=0.3, generator=torch.Generator().manual_seed(seed))
        files.save(file, made, files.Record(base or files.fingerprint(read_identity(folder), unet), stage))
        return file
    return write


def drawn(pipe: Pipeline) -> torch.Tensor:
    return pipe("a cat", seed=3, recipe=RECIPE, stop_after="keyframes").newest


class Passing:
    """A sampler that gives back what it was given, and holds its network as a sampler does."""

    def __init__(self, unet: Any, *_) -> None:
        self.unet = unet

    def __call__(self, noise, condition, start, generator) -> torch.Tensor:
        return noise


def test_one_stage_is_in_memory_at_a_time_and_none_while_the_vae_decodes(pipe, monkeypatch):
    loaded: list[weakref.ref[torch.nn.Module]] = []
    load_vae = pipeline.load_vae

    def check() -> None:
        assert not [number for number, stage in enumerate(loaded) if stage() is not None], "stages that are still there"

    def load(*_) -> torch.nn.Module:
        check()
        unet = Linear(1, 1)
        loaded.append(weakref.ref(unet))
        return unet

    def load_checking_vae(folder: Path) -> Any:
        check()
        vae = load_vae(folder)
        decode = vae.decode
        vae.decode = lambda latent: (check(), decode(latent))[1]
        return vae

    monkeypatch.setattr(pipeline, "load_unet", load)
    monkeypatch.setattr(pipeline, "load_vae", load_checking_vae)
    monkeypatch.setattr(pipeline, "StageSampler", Passing)
    small = {"keyframes": {"frames": 2, "height": 8, "width": 8}, "refine": {"height": 32, "width": 32}}
    assert pipe("a cat", recipe=Recipe.from_dict(small)).frames.shape == (5, 32, 32, 3)
    assert len(loaded) == len(STAGES)


def answer(unet) -> torch.Tensor:
    """A network's output for one input."""
    config, draws = unet.config, torch.Generator().manual_seed(0)
    size = (3, 16, 16) if config.temporal else (16, 16)
    level = torch.tensor(50) if config.takes_noise_level else None
    with torch.no_grad():
        return unet(torch.randn((1, config.in_channels, *size), generator=draws), torch.tensor(500),
                    torch.randn((1, 5, config.text_dim), generator=draws), level)


@pytest.mark.parametrize("stage", STAGES)
def test_a_lora_acts_on_the_stage_that_learnt_it_and_on_no_other(pipe, lora, stage) -> None:
    run, states = pipeline.Cascade(pipe.with_lora(lora(stage)), "a cat", 0, RECIPE, None), torch.zeros(2, 5, 64)
    for other in pipeline.STAGES:
        plain, tuned = answer(load_unet(pipe.folders[other.name])), answer(run.sampler(other, states, 2, 1.0).unet)
        assert torch.equal(plain, tuned) == (other.name != stage), other.name


def test_strengths_weigh_and_several_add_up(pipe, lora) -> None:
    one, other = lora("keyframes"), lora("keyframes", seed=1)
    plain = drawn(pipe)
    assert torch.equal(drawn(pipe.with_lora(one, 0.0)), plain)
    assert torch.equal(drawn(pipe.with_lora(one, 0.5).with_lora(other, 0.0)), drawn(pipe.with_lora(one, 0.5)))
    halves, whole = drawn(pipe.with_lora(one, 0.5).with_lora(one, 0.5)), drawn(pipe.with_lora(one))
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-4)
    assert float((whole - plain).abs().max()) > 1e-2
    both = drawn(pipe.with_lora(one).with_lora(other))
    assert min(float((both - alone).abs().max()) for alone in (whole, drawn(pipe.with_lora(other)))) > 1e-2


def test_it_is_what_training_adds(pipe, lora, models) -> None:
    """The same numbers as by weights to which the changes were added."""
    file = lora("keyframes")
    merged = load_unet(models / "show-1-base")
    layers = dict(merged.named_modules())
    for name, adapter in files.adapters_from(files.read(file)[0], merged).layers.items():
        weight = layers[name].weight
        weight += 0.7 * (adapter.up.detach().flatten(1) @ adapter.down.detach().flatten(1)).reshape(weight.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_unet", lambda *inputs: merged)
        expected = drawn(pipe)
    torch.testing.assert_close(drawn(pipe.with_lora(file, 0.7)), expected, rtol=0, atol=1e-4)


def test_one_of_another_base_is_warned_of_and_one_of_another_program_goes_on_the_keyframes(pipe, lora, tmp_path, caplog) -> None:
    own, foreign = drawn(pipe.with_lora(lora("keyframes"))), lora("keyframes", "0123456789abcdef")
    assert "another base" not in caplog.text
    assert torch.equal(drawn(pipe.with_lora(foreign)), own)
    assert "was trained on another base (0123456789abcdef)" in caplog.text
    theirs = {name.replace(files.PREFIX, "unet.").replace("lora_down", "lora_A").replace("lora_up", "lora_B"): tensor
              for name, tensor in files.read(foreign)[0].items()}
    save_file(theirs, tmp_path / "theirs.safetensors")
    assert torch.equal(drawn(pipe.with_lora(tmp_path / "theirs.safetensors")), own)


@pytest.mark.parametrize(("stage", "change", "strength", "said"), [
    ("keyframes", {"stage": "sr1"}, 1.0, r"does not go on sr1: .* do not fit this model"),
    ("keyframes", {"stage": "sound"}, 1.0, "was learnt by 'sound'; the models at hand are keyframes"),
    ("keyframes", {}, float("nan"), "has strength nan; expected a number")])
def test_what_cannot_be_put_on_is_refused_before_any_work(pipe, lora, models, stage, change, strength, said) -> None:
    file = lora(stage)
    tensors, record = files.read(file)
    files.save(file, files.adapters_from(tensors, load_unet(models / STAGES[stage])), replace(record, **change))
    with pytest.raises(ValueError, match=said):
        pipe.with_lora(file, strength)
    with pytest.raises(CheckpointError, match="is no file; expected a LoRA"):
        pipe.with_lora("nowhere.safetensors")


def test_keyframes_begin_from_the_noise_of_a_clip(pipe) -> None:
    clip = torch.rand((5, 20, 30, 3), generator=torch.Generator().manual_seed(0))
    told: list[str] = []
    pipe.with_noise_of(clip, 0.5)("a cat", 3, RECIPE, "keyframes", lambda what, step, steps, clip: told.append(what))
    assert told == ["noise of the clip"] * 5 + ["keyframes"] * 3
    plain, half, whole = (drawn(each) for each in (pipe, pipe.with_noise_of(clip, 0.5), pipe.with_noise_of(clip, 1.0)))
    assert torch.equal(drawn(pipe.with_noise_of(clip, 0.0)), plain)
    assert min(float((a - b).abs().max()) for a, b in ((plain, half), (half, whole), (plain, whole))) > 1e-2
    for images, prior, said in ((clip[:2], 0.5, "has 2 frames; expected 3 or more"), (clip, 1.5, "prior is 1.5")):
        with pytest.raises(ValueError, match=said):
            drawn(pipe.with_noise_of(images, prior))


def test_the_command_takes_both(pipe, lora, models, tmp_path, monkeypatch, capsys) -> None:
    from PIL import Image

    for number in range(10, 15):
        Image.effect_noise((16, number), 90).convert("RGB").save(tmp_path / f"{number:03d}.png")
    recipe, out, made = tmp_path / "recipe.json", tmp_path / "made.mp4", []
    recipe.write_text('{"keyframes": {"frames": 3, "height": 8, "width": 16, "steps": 2}}')
    monkeypatch.setattr(__main__, "write_video", lambda path, frames, fps: made.append(frames))

    def command(*more: str) -> int:
        return __main__.main(["a cat", "--models", str(models), "--output", str(out), "--recipe", str(recipe), "--stop-after",
                              "keyframes", *more])

    frames, file = str(tmp_path), str(lora("keyframes"))
    for more in ((), ("--lora", file, "0.8"), ("--lora", file, "0.8", "--noise-of", frames, "--prior", "0.3")):
        assert command(*more) == 0
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[1], made[2])
    for more, said in ((("--lora", file, "much"), "has strength 'much'; expected a number"),
                       (("--noise-of", str(recipe)), "recipe.json cannot be read"),
                       (("--noise-of", "nowhere.mp4"), "nowhere.mp4 cannot be read")):
        assert command(*more) == 1 and said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["panda", "panda.gif", "panda.webm", "folder.mp4"])
def test_what_is_no_name_of_a_video_is_refused_before_anything_is_loaded(tmp_path, monkeypatch, capsys, name) -> None:
    (tmp_path / "folder.mp4").mkdir()
    monkeypatch.setattr(__main__, "pipeline_of", lambda *inputs: pytest.fail("a model was loaded"))
    assert __main__.main(["a cat", "--models", str(tmp_path), "--output", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err == f"error: --output is {tmp_path / name}; name a file that ends in .mp4, .mkv, .mov.\n"


@pytest.mark.parametrize(("raised", "code", "said"), [
    (RuntimeError("There is no memory."), 1, "error: There is no memory."), (OSError(28, "No space left"), 1, "No space left"),
    (KeyboardInterrupt(), 130, "stopped")])
def test_a_run_that_ends_early_is_one_sentence(tmp_path, monkeypatch, capsys, raised, code, said) -> None:
    def fail(*inputs):
        raise raised

    monkeypatch.setattr(__main__, "pipeline_of", lambda *inputs: fail)
    assert __main__.main(["a cat", "--models", str(tmp_path), "--output", str(tmp_path / "new" / "cat.mp4")]) == code
    assert said in capsys.readouterr().err and (tmp_path / "new").is_dir()


@pytest.mark.parametrize("name", ["cat.mp4", "cat.MOV", "cat.mkv"])
def test_a_video_is_written(tmp_path, name) -> None:
    from show1_core.frame_files import read

    __main__.write_video(tmp_path / name, torch.rand(3, 32, 48, 3), 8.0)
    assert read(tmp_path / name).shape == (3, 32, 48, 3)
    with pytest.raises(ValueError, match="could not be written"):
        __main__.write_video(tmp_path / "nowhere" / name, torch.rand(3, 32, 48, 3), 8.0)
