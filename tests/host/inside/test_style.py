"""A style learnt by the super-resolution models through the node, and loaded by core nodes."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from recording import error
from test_motion import pictures, train  # noqa: F401 - a fixture

MINI = Path(__file__).resolve().parents[3] / "models" / "show1-mini"
SPATIAL = "spatial attention"
PUBLISHED = ("published", "published")
# by model: frames of the clip that is learnt and its side
STAGES = {"show-1-interpolation": (6, 32), "IF-II-L-v1.0": (2, 32), "show-1-sr1": (10, 32), "show-1-sr2": (9, 64)}


@pytest.fixture
def fresh(pack, models):
    """A miniature as a MODEL of its own."""
    read, load = pack("show1_core.checkpoints").read_checkpoint, pack("nodes.host").load_model
    return lambda name, dtype="fp32": load(read(models / name), dtype)


@pytest.fixture
def learn(pack, t5, clip, vae, tmp_path, monkeypatch):
    """The node on a model of any stage, with the text that it takes."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path))
    execute = pack("nodes.motion").Show1TrainMotion.execute

    def run(name, model, **changed):
        text, more = (clip, {"vae": vae}) if name == "show-1-sr2" else (t5, {})
        inputs = {"steps": 2, "learning_rate": 1e-2, "rank": 4, "train": SPATIAL, "loss": "noise", "seed": 0, "reverse": False}
        return execute(model, text[0], pictures(*STAGES[name], STAGES[name][1]), **{**inputs, **more, **changed}).args

    return run


@pytest.fixture
def draw(pack, t5, clip, vae):
    """What the stage's node makes of a small clip."""
    small = pictures(2)

    def run(name, model):
        if name == "show-1-sr2":
            return pack("nodes.latent_sr").Show1LatentSR.execute(
                model, vae, *clip, small, 0, 2, 3.0, 0.5, 64, 64, *PUBLISHED).args[0]
        if name == "show-1-interpolation":
            return pack("nodes.interpolation").Show1Interpolator.execute(model, *t5, small, 0, 2, 3.0, *PUBLISHED).args[0]
        node = "Show1FirstFrameSR" if name == "IF-II-L-v1.0" else "Show1PixelSR"
        return getattr(pack("nodes.pixel_sr"), node).execute(model, *t5, small, 0, 2, 3.0, 50, *PUBLISHED).args[0]

    return run


@pytest.mark.parametrize("name", STAGES)
def test_what_a_stage_has_learnt_is_loaded_by_the_core_and_changes_its_picture(pack, fresh, learn, draw, name):
    from comfy_extras.nodes_train import LoraModelLoader

    model = fresh(name)
    before = {key: value.clone() for key, value in model.model.diffusion_model.state_dict().items()}
    lora, losses, steps = learn(name, model)
    assert steps == 2 and all(torch.isfinite(torch.tensor(losses["loss"])))
    assert all(torch.equal(value, before[key]) for key, value in model.model.diffusion_model.state_dict().items())
    chosen = pack("show1_core.tuning.adapters").layers_of(model.model.diffusion_model, SPATIAL)
    tuned = LoraModelLoader.execute(fresh(name), lora, 1.0).args[0]
    assert set(tuned.patches) == {f"diffusion_model.{layer}.weight" for layer in chosen}, "the chosen layers and no others"
    plain = draw(name, fresh(name))
    assert torch.equal(draw(name, LoraModelLoader.execute(fresh(name), lora, 0.0).args[0]), plain)
    assert error(draw(name, tuned), plain) > 1e-5
    record = pack("show1_core.tuning.lora_files").record_in(lora)
    assert (record.stage, record.loss) == (model.model.show1.stage.name, "noise")


@torch.no_grad()
def held_out_loss(pack, network, adapters, example):
    """The mean loss over timesteps and noises that no training draws."""
    generator, loss_of = torch.Generator().manual_seed(2**64 - 1), pack("show1_core.tuning.motion").loss_of
    with pack("show1_core.tuning.adapters").attached(network.unet, adapters):
        return sum(float(loss_of(network, example, "noise", generator)) for _ in range(8)) / 8


@pytest.mark.slow  # half a minute: a training of each stage
@pytest.mark.parametrize("stage", ["interpolation", "first-frame", "sr1", "sr2"])
def test_the_held_out_loss_falls(pack, mini, mini_text, stage, tmp_path, monkeypatch):
    """On weights that have learnt to draw, with a clip unlike all they have seen: stripes that move."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(tmp_path))
    model, text, place = mini(stage), mini_text("a red ball")[0], torch.arange(48)
    stripes = torch.stack([((place + place[:, None] + 4 * frame) // 4 % 2).float() for frame in range(9)])
    images = stripes[..., None] * torch.tensor([0.9, 0.2, 0.7]) + 0.05
    vae = mini_vae(pack) if stage == "sr2" else None
    inputs = (model, text, images, 20, 3e-3, 4, "spatial attention and convolutions", "noise", 0, False)
    lora = pack("nodes.motion").Show1TrainMotion.execute(*inputs, vae=vae).args[0]
    files = pack("show1_core.tuning.lora_files")
    encode = functools.partial(pack("nodes.host").encode_posterior, vae)
    example = pack("show1_core.tuning.examples").example_of(model.model.show1, images, text[0][0], encode)
    with pack("nodes.host.training").learning(model, example.shape) as network:
        adapters = files.adapters_from(lora, network.unet)
        plain = pack("show1_core.tuning.adapters").Adapters({})
        before, after = (held_out_loss(pack, network, made, example.ordinary()) for made in (plain, adapters))
    assert after < 0.8 * before


def mini_vae(pack):
    """The VAE of the mini that ships."""
    weights, folder = pack("show1_core.weights"), MINI / "sr2" / "vae"
    return pack("nodes.host").load_vae(weights.read_tensors(weights.find_weights(folder, "diffusion_pytorch_model")),
                                       weights.read_json(folder / "config.json"))


@pytest.mark.slow  # together ten seconds
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_it_learns_in_half_precision_too(fresh, learn, dtype):
    for name in STAGES:
        assert all(torch.isfinite(torch.tensor(learn(name, fresh(name, dtype))[1]["loss"])))


def test_it_goes_on_from_what_it_learnt_and_shows_pictures(fresh, learn, monkeypatch):
    import comfy.utils

    shown = []

    def update(bar, value, total=None, preview=None):
        if total:  # the VAE's bar has none here
            shown.append(preview)

    monkeypatch.setattr(comfy.utils.ProgressBar, "update_absolute", update)
    half = learn("show-1-sr1", fresh("show-1-sr1"), preview_every=2)[0]
    assert learn("show-1-sr1", fresh("show-1-sr1"), lora=half)[2] == 4
    learn("show-1-sr2", fresh("show-1-sr2"), preview_every=1)
    assert [picture is not None for picture in shown] == [False, True, False, False, False, False]


def test_without_its_vae_the_latent_stage_says_so_and_other_text_is_refused(fresh, learn, t5, pack):
    with pytest.raises(ValueError, match="learns in latent space; give its VAE too"):
        learn("show-1-sr2", fresh("show-1-sr2"), vae=None)
    with pytest.raises(ValueError, match="of which this model has no layer; choose another set"):
        learn("IF-II-L-v1.0", fresh("IF-II-L-v1.0"), train="q k v")
