"""Networks by path: a folder of pictures' features, TorchScript by tracing, files that are none; damaged statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from show1_core.evaluation import statistics
from show1_core.evaluation.extractors import EXTRACTORS, WINDOW
from show1_core.evaluation.networks import MissingNetwork, load_script
from show1_core.evaluation.scores import Gathered

CPU = torch.device("cpu")


def write_picture_network(folder: Path) -> Path:
    """A tiny ResNet with random weights in the layout of transformers; the folder."""
    from transformers import ResNetConfig, ResNetModel

    with torch.random.fork_rng(), torch.inference_mode(False):
        torch.manual_seed(0)
        config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic")
        ResNetModel(config).save_pretrained(folder)
    return folder


def test_an_inception_folder_sees_frames_at_299_from_minus_one_to_one(tmp_path: Path) -> None:
    from transformers import ResNetModel

    folder = write_picture_network(tmp_path / "inception")
    frames = torch.randint(0, 256, (3, 20, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    large = functional.interpolate(frames.permute(0, 3, 1, 2).float() / 127.5 - 1, (299, 299), mode="bilinear")
    with torch.inference_mode():
        expected = ResNetModel.from_pretrained(folder).eval()(pixel_values=large).pooler_output.flatten(1)
        features = EXTRACTORS["inception"].prepare(folder, CPU)(frames)
    assert features.shape == (3, 6)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def without_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("embedder.embedder.convolution.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def of_words(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(**sizes)).save_pretrained(folder)


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:300])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights cut short": (cut_short, "cannot be read"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "cannot be read"),
    "a config that is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    "a tensor is missing": (without_a_tensor, "lacks 1 of its tensors"),
    "a network of words": (of_words, "holds a bert that reads input_ids"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_inception_folder_is_a_sentence(damage: str, tmp_path: Path) -> None:
    folder = write_picture_network(tmp_path / "inception")
    do, sentence = DAMAGES[damage]
    do(folder)
    with pytest.raises(MissingNetwork, match=sentence) as caught:
        EXTRACTORS["inception"].prepare(folder, CPU)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


class ByName(nn.Module):
    """Layers that a loop takes out of `_modules` by name, as the usual I3D does."""

    NAMES = ("first", "second")

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.AvgPool3d((2, 8, 8)), nn.BatchNorm3d(3)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.NAMES:
            x = self._modules[name](x)
        return x.mean((2, 3, 4))


def test_an_i3d_that_cannot_be_scripted_is_traced_as_the_docs_say(tmp_path: Path) -> None:
    network, file = ByName().eval(), tmp_path / "i3d_pretrained_400.pt"
    with pytest.raises(Exception, match="_modules"):
        torch.jit.script(network)
    torch.jit.trace(network, torch.zeros(1, 3, WINDOW, 224, 224)).save(str(file))
    frames = torch.randint(0, 256, (WINDOW, 20, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    large = functional.interpolate(frames.permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear")
    with torch.inference_mode():
        expected = network((large * 2 / 255 - 1).transpose(0, 1)[None])
        features = EXTRACTORS["i3d-tats"].prepare(file, CPU)(frames)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("what", ["plain weights", "a folder", "a pickle"])
def test_what_is_no_torchscript_is_a_sentence(what: str, tmp_path: Path) -> None:
    file = tmp_path / "network.pt"
    if what == "a folder":
        file.mkdir()
    elif what == "a pickle":
        file.write_bytes(b"\x80\x04N.")
    else:
        torch.save(ByName().state_dict(), file)
    with pytest.raises(MissingNetwork, match="is no TorchScript file .* docs/evaluation.md") as caught:
        load_script(file)
    assert "\n" not in str(caught.value)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file of statistics with mean and covariance."""
    gathered = Gathered()
    for clip in torch.randn(12, 1, 3, generator=torch.Generator().manual_seed(0)):
        gathered.add(clip)
    about = statistics.Measured("clip", "0" * 64, "none", "clips")
    statistics.save(tmp_path / "kept.safetensors", statistics.Statistics(about, 12, 12, gathered.groups()))
    return tmp_path / "kept.safetensors"


@pytest.mark.parametrize(("lost", "sentence"), [
    ("extractor", "has no extractor"), ("network_sha256", "has no network_sha256"), ("preprocessing", "has no preprocessing"),
    ("source", "has no source"), ("clips", "has no number of clips"), ("rows", "has no number of rows"),
    ("mean", "has no mean"), ("covariance", "has no covariance")])
def test_statistics_that_lack_something_are_a_sentence(lost: str, sentence: str, kept: Path) -> None:
    from safetensors import safe_open

    assert statistics.load(kept).clips == 12
    with safe_open(kept, framework="pt") as opened:
        metadata = dict(opened.metadata())
    tensors = load_file(kept)
    metadata.pop(lost, None)
    tensors.pop(lost, None)
    save_file(tensors, kept, metadata)
    with pytest.raises(statistics.StatisticsError, match=f"{sentence}; measure the videos again"):
        statistics.load(kept)


def test_statistics_of_fewer_features_than_they_say_are_a_sentence(kept: Path) -> None:
    about = {"format": statistics.FORMAT, "extractor": "c", "network_sha256": "", "preprocessing": "", "source": "", "clips": "4"}
    for rows, right in (("4", True), ("5", False), ("many", False)):
        save_file({"features": torch.randn(4, 3)}, kept, about | {"rows": rows})
        if right:
            assert statistics.load(kept).rows == 4
        else:
            with pytest.raises(statistics.StatisticsError, match="has no (features of 5 samples|number of rows)"):
                statistics.load(kept)
