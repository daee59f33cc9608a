"""The library's own cascade, from a prompt to frames, against the recording; and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from recording import GOLDEN, error

from show1_core import CheckpointError, Pipeline, Recipe, RecipeError, cascade, texts
from show1_core.pipeline import Cascade, Result, load_vae
from show1_core.weights import find_transformers_weights, read_tensors

REPO = Path(__file__).resolve().parents[2]
TOKENIZERS = REPO / ".comfyui" / "ComfyUI" / "comfy"
T5, CLIP = TOKENIZERS / "text_encoders" / "t5_tokenizer", TOKENIZERS / "sd1_tokenizer"
needs_tokenizers = pytest.mark.skipif(not T5.is_dir(), reason=f"the T5 tokenizer is not in {T5}; run scripts/comfy.py setup")


@pytest.fixture(scope="module")
def made(models, recipe):
    pipe = Pipeline.from_folder(models, t5_tokenizer=T5, clip_tokenizer=CLIP)
    return pipe(recipe["prompt"], seed=recipe["seed"], recipe=Recipe.from_dict(recipe))


@pytest.mark.slow  # a minute: the quick run has the whole cascade in tests/host/test_cascade.py
@needs_tokenizers
@pytest.mark.parametrize("part, name, most", [
    ("keyframes", "keyframes", 3e-5), ("interpolated", "interpolated", 3e-5), ("upscaled", "upscaled", 3e-3)])
def test_every_stage_is_the_recorded_one(made, golden, part, name, most):
    expected = cascade.to_images(golden[f"cascade.{name}"])
    assert error(getattr(made, part) * 2 - 1, expected * 2 - 1) <= most


@pytest.mark.slow  # as above
@needs_tokenizers
def test_the_frames_are_the_recorded_ones(made, golden):
    levels = (made.frames * 255).byte().int()
    distance = (levels - golden["cascade.frames"].int()).abs()
    assert distance.max() <= 2 and (distance <= 1).float().mean() >= 0.995


@needs_tokenizers
@pytest.mark.parametrize("which", ["t5", "clip"])
def test_texts_are_the_recorded_ones(models, golden, recipe, which):
    ways = {"t5": (texts.encode_t5, "show-1-base", T5), "clip": (texts.encode_clip, "show-1-sr2", CLIP)}
    encode, folder, tokenizer = ways[which]
    negative = recipe["refine_negative_prompt"] if which == "clip" else ""
    states = encode(models / folder / "text_encoder", tokenizer, [negative, recipe["prompt"]], torch.float32, "cpu")
    expected = torch.cat([golden[f"{which}.negative.embeds"], golden[f"{which}.prompt.embeds"]])
    assert error(states, expected) <= 1e-5


def test_t5_in_half_precision_keeps_what_is_published_in_float32(models, tmp_path):
    """The projections out of feed-forwards, which are never rounded, and nothing else."""
    source = models / "show-1-base" / "text_encoder"
    published = read_tensors(find_transformers_weights(source))
    published = {name: tensor.float() + 1e-5 for name, tensor in published.items()}  # what float16 has not
    torch.save(published, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").symlink_to(source / "config.json")
    read = texts.load_t5(tmp_path, torch.float16, "cpu").state_dict()
    wide = {name for name in read if read[name].dtype == torch.float32}
    assert wide == {name for name in published if name.endswith("DenseReluDense.wo.weight")} != set()
    assert all(torch.equal(read[name], published[name] if name in wide else published[name].half()) for name in published)


@needs_tokenizers
@pytest.mark.parametrize("stage, name, last", [("first_frame", "first_frame", "first-frame"), ("upscale", "upscaled", "sr1")])
def test_a_strength_keeps_what_is_enlarged_in_part(models, recipe, stage, name, last):
    """The less of the schedule is run, the nearer the result is to the enlarged frames."""
    pipe = Pipeline.from_folder(models, t5_tokenizer=T5, clip_tokenizer=CLIP)
    few = {"steps": 1}
    small = {"keyframes": recipe["keyframes"] | {"frames": 2} | few, "interpolate": few, "first_frame": few}

    def distance(strength: float) -> float:
        short = recipe | small | {stage: {"steps": 8, "strength": strength}}
        result = pipe(recipe["prompt"], recipe["seed"], Recipe.from_dict(short), stop_after=last)
        found = getattr(result, name)
        kept = result.interpolated[: len(found)].repeat_interleave(4, 1).repeat_interleave(4, 2)
        return error(found, kept)

    assert distance(0.125) < 0.55 * distance(1.0)


@needs_tokenizers
@pytest.mark.parametrize("last, reached", [("keyframes", ["keyframes"]), ("interpolation", ["keyframes", "interpolated"])])
def test_it_stops_after_any_stage_and_tells_every_step(models, recipe, last, reached):
    told = []
    short = {**recipe, "keyframes": {**recipe["keyframes"], "steps": 3}, "interpolate": {"steps": 2, "guidance": 1.0}}
    pipe = Pipeline.from_folder(models, t5_tokenizer=T5, clip_tokenizer=CLIP)
    result = pipe("a cat", recipe=Recipe.from_dict(short), stop_after=last, progress=lambda *step: told.append(step[:3]))
    assert [name for name, value in vars(result).items() if value is not None] == reached
    expected = [("keyframes", step, 3) for step in range(3)] + [("interpolation", step, 2) for step in range(2)]
    assert told == expected[:3 if last == "keyframes" else 5]
    assert result.newest.min() >= 0 and result.newest.max() <= 1


@pytest.mark.parametrize("made", [
    ["keyframes"], ["keyframes", "interpolated"], ["keyframes", "interpolated", "first_frame"],
    ["keyframes", "interpolated", "first_frame", "upscaled"], ["keyframes", "interpolated", "upscaled", "frames"]])
def test_the_newest_is_what_the_last_stage_has_made(made):
    clips = {name: torch.full((1, 1, 1, 3), 0.1 * number) for number, name in enumerate(made)}
    assert torch.equal(Result(**clips).newest, clips[made[-1]])


@pytest.mark.parametrize("taken, sentence", [
    ("show-1-sr1", "neither show-1-sr1 nor sr1"), ("show-1-base/text_encoder", "no text_encoder/")])
def test_a_missing_part_is_named_before_any_work(models, tmp_path, taken, sentence):
    for folder in models.iterdir():
        (tmp_path / folder.name).mkdir()
        for part in folder.iterdir():
            if taken not in (folder.name, f"{folder.name}/{part.name}"):
                (tmp_path / folder.name / part.name).symlink_to(part)
    with pytest.raises(CheckpointError, match=sentence):
        Pipeline.from_folder(tmp_path)


OLDER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # diffusers' names before 0.15


def test_a_vae_with_the_older_names_of_attention_is_read(models, tmp_path):
    vae = load_vae(models / "show-1-sr2" / "vae")
    older = {}
    for name, tensor in vae.state_dict().items():
        new = next((new for new in OLDER if f"attentions.0.{new}." in name), None)
        older[name.replace(f".{new}.", f".{OLDER[new]}.") if new else name] = tensor
    assert sum(".query." in name or ".proj_attn." in name for name in older) == 8
    torch.save(older, tmp_path / "diffusion_pytorch_model.bin")
    (tmp_path / "config.json").symlink_to(models / "show-1-sr2" / "vae" / "config.json")
    read = load_vae(tmp_path).state_dict()
    assert read.keys() == vae.state_dict().keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in vae.state_dict().items())


@pytest.mark.parametrize("record, sentence", [
    ({"keyframes": 3}, "keyframes is 3; expected a table"),
    ({"upscale": {"steps": 2.5}}, "upscale.steps is 2.5; expected a whole"),
    ({"refine": {"strength": "much"}}, "refine.strength is 'much'"), ({"refine_negative_prompt": None}, "expected a text"),
    ({"first_frame": {"steps": -1}}, "first_frame.steps is -1"),
    ({"keyframes": {"steps": 0}}, "keyframes.steps is 0; expected a whole number from 1 to 1000"),
    ({"refine": {"steps": 5000}}, "refine.steps is 5000; .* to 1000"),
    ({"first_frame": {"noise_level": 1000}}, "first_frame.noise_level is 1000; expected a whole number from 0 to 999"),
    ({"keyframes": {"frames": 0}}, "keyframes.frames is 0; expected a whole number from 1 on"),
    ({"keyframes": {"width": 0}}, "keyframes.width is 0"), ({"refine": {"height": -8}}, "refine.height is -8"),
    ({"upscale": {"guidance": float("nan")}}, "upscale.guidance is nan; expected a number from 0 on"),
    ({"upscale": {"guidance": 10**400}}, "upscale.guidance is 1000"),
    ({"refine": {"strength": float("inf")}}, "refine.strength is inf"),
    ({"refine": {"strength": float("nan")}}, "refine.strength is nan"),
    ({"upscale": {"strength": 2}}, "strength is 2; expected a number from 0 to 1"),
    ({"upscale": {"steps": 4, "strength": 0.2}}, "upscale has 4 steps and strength 0.2; expected a strength")])
def test_a_recipe_of_the_wrong_kind_is_refused(record, sentence):
    with pytest.raises(RecipeError, match=sentence):
        Recipe.from_dict(record)


def test_one_keyframe_is_a_run_of_keyframes_alone(models, monkeypatch):
    pipe, one = Pipeline.from_folder(models), Recipe.from_dict({"keyframes": {"frames": 1}})
    monkeypatch.setattr(Cascade, "run", lambda self, last: last)
    assert pipe("a cat", recipe=one, stop_after="keyframes") == "keyframes"
    with pytest.raises(RecipeError, match="keyframes.frames is 1; .* 2 or more .* interpolation"):
        pipe("a cat", recipe=one, stop_after="interpolation")


def test_the_published_recipe_is_the_default_and_other_keys_are_ignored(recipe):
    assert Recipe.from_dict({}) == Recipe() and Recipe.from_dict({"weather": "fine"}) == Recipe()
    assert Recipe.from_dict(recipe).keyframes.width == recipe["keyframes"]["width"]
    assert (Recipe().keyframes.steps, Recipe().upscale.noise_level, Recipe().refine.strength) == (75, 250, 0.8)
    assert json.loads((GOLDEN / "recipe.json").read_text()) == recipe


@needs_tokenizers
@pytest.mark.slow
def test_the_command_makes_a_video_where_no_host_can_be_imported(models, tmp_path, recipe):
    """A whole process, in which whoever asks for the host gets an error."""
    import av

    block = tmp_path / "block"
    block.mkdir()
    for name in ("comfy", "folder_paths", "nodes", "execution"):
        (block / f"{name}.py").write_text("raise ImportError('no host here')\n")
    file, short = tmp_path / "made" / "clip.mp4", tmp_path / "recipe.json"
    short.write_text(json.dumps(recipe | {"keyframes": recipe["keyframes"] | {"steps": 2}, "interpolate": {"steps": 2},
                                          "first_frame": {"steps": 2}, "upscale": {"steps": 1}}))
    command = [sys.executable, "-m", "show1_core", recipe["prompt"], "--models", str(models), "--output", str(file),
               "--recipe", str(short), "--t5-tokenizer", str(T5), "--clip-tokenizer", str(CLIP)]
    code = f"import sys; sys.path.insert(0, {str(block)!r}); import runpy; sys.argv = {command[2:]!r}; " \
           "from show1_core.__main__ import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPO)
    assert ended.returncode == 0, ended.stderr
    with av.open(str(file)) as container:
        assert len(list(container.decode(video=0))) == 29
    assert ended.stdout.strip().endswith("clip.mp4")
    said = [line.partition("Show-1: ")[2] for line in ended.stderr.splitlines() if "Show-1: " in line]
    assert len(said) == 5, "a line for each stage, however many windows it has"
    assert all("kernels: convolution" in line for line in said), said
    assert all("group_norm triton" in line.partition("; not ")[2] and "are on cpu" in line for line in said), said


@pytest.mark.parametrize("models_folder", ["nowhere"])
def test_the_command_says_in_a_sentence_what_is_missing(models_folder, capsys, tmp_path):
    from show1_core.__main__ import main

    assert main(["a cat", "--models", str(tmp_path / models_folder), "--output", str(tmp_path / "x.mp4")]) == 1
    assert "neither show-1-base nor keyframes" in capsys.readouterr().err
