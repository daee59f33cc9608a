"""Safety checkers with random weights, against diffusers' own classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.deepfloyd_if.safety_checker import IFSafetyChecker
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig

from show1_core.evaluation.clip import OPENAI_MEAN, OPENAI_STD
from show1_core.safety import blurred, checked_frames, checker_folders, read_checker, spread
from show1_core.weights import CheckpointError

KINDS = {"sd": StableDiffusionSafetyChecker, "if": IFSafetyChecker}
SIDE, FRAMES = 32, 200  # so many that the special concepts decide about some


def write_checker(folder: Path, kind: str, seed: int = 0) -> torch.nn.Module:
    """A tiny checker in the layout of diffusers, its borders such that some pictures pass them; diffusers' own object."""
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 24}
    config = CLIPConfig(text_config=shared, vision_config={**shared, "image_size": SIDE, "patch_size": 8}, projection_dim=24)
    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(seed)
        checker = KINDS[kind](config).eval()
        for name, parameter in checker.named_parameters():
            parameter.data = torch.randn_like(parameter) * (0.3 if "embeds" not in name else 1.0)
        with torch.no_grad():
            set_borders(checker, kind)
        checker.save_pretrained(folder)
    return checker


def set_borders(checker: Any, kind: str) -> None:
    """Such that each is passed by a few of the pictures."""
    seen = checker.vision_model(normalised(pictures()))
    if kind == "if":
        for head in (checker.p_head, checker.w_head):
            head.bias += 0.5 - head(seen[0]).median()
        return
    embeds = torch.nn.functional.normalize(checker.visual_projection(seen[1]))
    for known, borders in ((checker.concept_embeds, checker.concept_embeds_weights),
                           (checker.special_care_embeds, checker.special_care_embeds_weights)):
        borders.copy_((embeds @ torch.nn.functional.normalize(known).T).quantile(0.95, dim=0))


def normalised(frames: torch.Tensor) -> torch.Tensor:
    """(N, H, W, 3) in 0..1 of the checker's size -> (N, 3, H, W), by the numbers of OpenAI's CLIP."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (OPENAI_MEAN, OPENAI_STD))
    return (frames.movedim(-1, 1).mul(255).round().div(255) - mean) / std


@pytest.fixture(params=KINDS)
def written(request, tmp_path):
    """A folder and diffusers' checker of it."""
    folder = tmp_path / "safety_checker"
    return folder, write_checker(folder, request.param), request.param


def pictures(count: int = FRAMES) -> torch.Tensor:
    """Frames of noise in large patches, (N, 32, 32, 3)."""
    drawn = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(drawn, size=SIDE, mode="bicubic").clamp(0, 1).movedim(1, -1)


def test_the_same_frames_are_flagged_as_by_diffusers(written) -> None:
    folder, theirs, kind = written
    ours = read_checker(folder)
    frames = pictures()
    scores = ours.scores(frames)
    pixels = normalised(frames)
    with torch.no_grad():
        if kind == "sd":
            _, flagged = theirs(pixels, frames.numpy().copy())
            expected = {"nsfw": flagged}
        else:
            _, unsafe, watermarked = theirs(pixels, frames.numpy().copy())
            expected = {"nsfw": unsafe, "watermark": watermarked}
    assert scores.keys() == expected.keys()
    for name, flags in expected.items():
        assert [bool(flag) for flag in flags] == (scores[name] > 0).tolist(), name
    assert 0 < sum(bool(flag) for flag in expected["nsfw"]) < FRAMES, "some and not all"


def test_names_of_other_versions_are_read_too(written) -> None:
    """Published files have `vision_model.vision_model.`; newer versions of transformers write one of them."""
    folder, _, _ = written
    before = read_checker(folder).scores(pictures())
    file = folder / "model.safetensors"
    tensors = {name.replace("vision_model.", ""): tensor for name, tensor in load_file(file).items()}
    ours = ("visual_projection.", "concept_", "special_", "p_head", "w_head")
    save_file({name if name.startswith(ours) else f"vision_model.vision_model.{name}": tensor
               for name, tensor in tensors.items()}, file)
    after = read_checker(folder).scores(pictures())
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_checker_is_found_by_what_its_config_says(written, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"architectures": ["CLIPModel"]}')
    assert checker_folders([tmp_path]) == {"safety_checker": written[0]}


@pytest.mark.parametrize("missing", ["visual_projection.weight", "layers.1.mlp.fc1.bias", "concept_embeds", "p_head.bias"])
def test_a_checker_that_is_not_whole_is_refused(written, missing: str) -> None:
    folder, _, _ = written
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith(missing)}
    save_file(kept, folder / "model.safetensors")
    if len(kept) == len(tensors):
        read_checker(folder)  # this kind has none of that name
        return
    with pytest.raises(CheckpointError, match="lacks .*; download the whole folder again"):
        read_checker(folder)


def test_a_folder_of_something_else_is_refused(tmp_path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CLIPModel"]}))
    with pytest.raises(CheckpointError, match="is no safety checker; expected a config.json that names"):
        read_checker(tmp_path)


@pytest.mark.parametrize("count, every, places", [(1, 1, [0]), (5, 1, [0, 1, 2, 3, 4]), (6, 4, [0, 4, 5]), (9, 4, [0, 4, 8]),
                                                  (3, 100, [0, 2])])
def test_which_frames_are_looked_at(count: int, every: int, places: list[int]) -> None:
    assert checked_frames(count, every) == places


@pytest.mark.parametrize("flags, expected", [("000", "0000000"), ("100", "1111000"), ("010", "0111110"), ("011", "0111111")])
def test_what_lies_between_is_flagged_with_its_neighbours(flags: str, expected: str) -> None:
    found = spread(torch.tensor([flag == "1" for flag in flags]), [0, 4, 6], 7)
    assert found.tolist() == [flag == "1" for flag in expected.ljust(7, "0")]


def test_blurred_frames_keep_their_colours_alone() -> None:
    frames = torch.rand(2, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    hidden = blurred(frames)
    assert hidden.shape == frames.shape and torch.allclose(hidden.mean((1, 2)), frames.mean((1, 2)), atol=0.01)
    assert hidden.std() < 0.3 * frames.std()
