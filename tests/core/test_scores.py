"""Inception score, CLIPSIM and frame consistency against what is known and against another library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import write_clip

from show1_core.evaluation.clip import ClipScorer, clip_folders, cut, fit_of, is_clip, squeezed
from show1_core.evaluation.networks import MissingNetwork
from show1_core.evaluation.scores import SPLIT_SEED, consistency, inception_score, mean_score, similarity

REASON = "torchmetrics is in the test extra"
PROMPTS = ["a red circle moving left", "a blue square", "on"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("networks") / "clip")


@pytest.fixture(scope="module")
def scorer(folder):
    return ClipScorer.from_folder(folder)


def frames(count: int, side: int = 32, seed: int = 0) -> torch.Tensor:
    """Frames (F, H, W, 3) in 0..1, of 8 bits."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, side, side, 3), generator=drawn, dtype=torch.uint8).float() / 255


@pytest.mark.parametrize("probabilities, expected", [
    (torch.full((40, 5), 0.2), 1.0),
    (torch.eye(5).repeat(8, 1), 5.0),
    (torch.eye(101).repeat(4, 1), 101.0),
], ids=["nothing is told", "all five", "all of UCF-101"])
def test_known_inception_scores(probabilities, expected):
    assert inception_score(probabilities, splits=1).value == pytest.approx(expected, rel=1e-12)


def test_fewer_clips_than_splits_are_refused():
    with pytest.raises(ValueError, match="9 clips; it needs 10"):
        inception_score(torch.full((9, 5), 0.2))


@pytest.mark.parametrize("count, splits", [(64, 1), (200, 10)])
def test_the_inception_score_is_that_of_torchmetrics(count, splits, monkeypatch):
    inception = pytest.importorskip("torchmetrics.image.inception", reason=REASON)
    logits = 2 * torch.randn(count, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    order = np.arange(count)
    np.random.RandomState(SPLIT_SEED).shuffle(order)
    monkeypatch.setattr(torch, "randperm", lambda *_, **__: torch.from_numpy(order))  # theirs is another shuffle at every call
    theirs = inception.InceptionScore(feature=torch.nn.Identity(), splits=splits).set_dtype(torch.float64)
    theirs.update(logits)
    mean, deviation = theirs.compute()
    ours = inception_score(logits.softmax(1), splits)
    assert ours.value == pytest.approx(float(mean), rel=1e-6)
    if splits > 1:  # of a single one theirs is NaN; theirs divides by one less than the splits
        assert ours.notes["deviation"] == pytest.approx(float(deviation) * ((splits - 1) / splits) ** 0.5, rel=1e-6)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_clipsim_is_that_of_torchmetrics(folder, scorer, prompt):
    """Theirs is a hundred times the cosine, and never below 0; the pictures have CLIP's size, so that nothing is resized."""
    clip_score = pytest.importorskip("torchmetrics.functional.multimodal.clip_score", reason=REASON)
    clip = frames(5)
    images = list(clip.mul(255).round().byte().permute(0, 3, 1, 2))
    scores, _ = clip_score._clip_score_update(images, [prompt] * 5, *theirs(folder))
    expected = float(scores.double().mean()) / 100
    assert similarity(scorer.frames(clip), scorer.texts([prompt])[0]) == pytest.approx(expected, rel=1e-6)


def theirs(folder):
    """The network and the preprocessing as torchmetrics calls them, in float64, from transformers alone."""
    from transformers import AutoTokenizer, CLIPModel

    tokenizer, model = AutoTokenizer.from_pretrained(folder), CLIPModel.from_pretrained(folder).double()

    class Model:
        config = model.config
        to = staticmethod(lambda _device: Model)
        get_image_features = staticmethod(lambda pixels: pooled(model.get_image_features(pixels)))
        get_text_features = staticmethod(lambda ids, mask: pooled(model.get_text_features(ids, mask)))

    def processor(images=None, text=None, **_):
        if text is not None:
            return tokenizer(text, return_tensors="pt", padding=True)
        return {"pixel_values": (torch.stack(images).double() / 255 - 0.5) / 0.25}

    return Model, processor


def pooled(output):
    """transformers 5 gives an object where 4 gave the tensor."""
    return getattr(output, "pooler_output", output)


@pytest.mark.parametrize("first, second, expected", [([3.0, 4.0], [6.0, 8.0], 1.0), ([1.0, 0.0], [0.0, 2.0], 0.0),
                                                     ([1.0, 1.0], [-1.0, -1.0], -1.0)])
def test_known_similarities(first, second, expected):
    a, b = torch.tensor(first), torch.tensor(second)
    assert similarity(a[None], b) == pytest.approx(expected, abs=1e-12)
    assert consistency(torch.stack([a, b])) == pytest.approx(expected, abs=1e-12)


def test_a_clip_that_stands_still_is_consistent_and_one_frame_is_refused():
    assert consistency(torch.ones(4, 3)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="has 1 frame"):
        consistency(torch.ones(1, 3))


def test_the_error_of_a_mean():
    score = mean_score([1.0, 2.0, 3.0, 4.0])
    assert (score.value, score.clips) == (2.5, 4) and score.error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert mean_score([1.0]).error == 0.0


@pytest.mark.parametrize("height, width", [(32, 32), (64, 64), (40, 64), (64, 40), (20, 33), (320, 576), (33, 1)])
def test_frames_of_any_size_are_cut_to_clips_own(scorer, height, width):
    flat = torch.rand(3, generator=torch.Generator().manual_seed(height)).mul(255).round().div(255)
    pixels = scorer.prepared(flat.expand(2, height, width, 3))
    assert pixels.shape == (2, 3, 32, 32)
    assert torch.allclose(pixels, ((flat - 0.5) / 0.25).view(3, 1, 1).expand_as(pixels), atol=1e-5)


@pytest.mark.parametrize("said, fit", [
    ({}, cut), ({"size": 32}, cut), ({"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}, cut),
    ({"size": {"height": 32, "width": 32}, "do_center_crop": False}, squeezed)])
def test_the_folder_says_whether_a_wide_frame_is_cut_or_squeezed(said, fit):
    assert fit_of(said) is fit
    wide = torch.zeros(1, 40, 64, 3)
    wide[:, :, :8] = 1  # an eighth at the left edge, which the square in the middle does not reach
    assert fit(wide, 32)[0, 0].mean() == pytest.approx(0.125 if fit is squeezed else 0.0, abs=0.01)


def test_resizing_is_pillows(scorer):
    from PIL import Image

    clip = frames(1, side=80, seed=4)
    picture = Image.fromarray(clip[0].mul(255).byte().numpy()).resize((32, 32), Image.Resampling.BICUBIC)
    pixels = (scorer.prepared(clip)[0] * 0.25 + 0.5) * 255
    difference = pixels - torch.from_numpy(np.asarray(picture)).permute(2, 0, 1)
    assert difference.abs().max() <= 1.01


def test_overshoot_between_stages_is_clamped(scorer):
    clip = frames(2, seed=5)
    assert torch.equal(scorer.frames(clip * 3 - 1), scorer.frames((clip * 3 - 1).clamp(0, 1)))


def test_a_prompt_is_cut_at_the_encoders_length_and_many_are_as_one(scorer):
    long = "a red circle " * 40
    assert scorer.texts([long]).shape == (1, 16)
    together = scorer.texts(PROMPTS)
    for prompt, vector in zip(PROMPTS, together, strict=True):
        assert torch.allclose(scorer.texts([prompt])[0], vector, atol=1e-6)
    assert torch.allclose(together.norm(dim=1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("width, side", [(8, 16), (32, 64)])
def test_clips_of_other_sizes_are_read_from_their_config(tmp_path, width, side):
    scorer = ClipScorer.from_folder(write_clip(tmp_path / "clip", width, side))
    assert scorer.frames(frames(3)).shape == (3, width)


def test_folders_are_listed_when_they_hold_a_whole_clip(tmp_path, folder):
    write_clip(tmp_path / "family" / "small", 8)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text('{"model_type": "clip_text_model"}')
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    (tmp_path / "damaged" / "model.safetensors").touch()
    assert list(clip_folders([tmp_path, tmp_path / "absent"])) == ["family/small"]
    assert is_clip(folder) and not is_clip(tmp_path)


@pytest.mark.parametrize("missing, sentence", [
    ("model.safetensors", "no whole CLIP"), ("config.json", "no whole CLIP"), ("tokenizer.json", "no whole CLIP"),
    ("bytes", "cannot be read"), ("tensors", "lacks 1 of its tensors")])
def test_a_folder_that_is_not_whole_is_refused_in_a_sentence(tmp_path, missing, sentence):
    folder = write_clip(tmp_path / "clip", 8)
    weights = folder / "model.safetensors"
    if missing == "bytes":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif missing == "tensors":
        save_file({name: tensor for name, tensor in load_file(weights).items() if name != "text_projection.weight"}, weights,
                  {"format": "pt"})
    else:
        (folder / missing).unlink()
    with pytest.raises(MissingNetwork, match=sentence) as caught:
        ClipScorer.from_folder(folder)
    assert "\n" not in str(caught.value)
