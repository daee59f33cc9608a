"""What the user sees while a stage runs: one bar over all windows, and the clip as it stands."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy
import pytest
import torch
from conftest import PACK

PUBLISHED = ("published", "published")
STEPS = 6
# node module, class, checkpoint, frames (count, height, width) it is fed, what follows steps and cfg, bars' windows
PIXEL_STAGES = {
    "keyframes": ("keyframes", "Show1KeyframeSampler", "show-1-base", None, (8, 8, 16), 1),
    "interpolation": ("interpolation", "Show1Interpolator", "show-1-interpolation", (3, 8, 16), (), 1),
    "first frame": ("pixel_sr", "Show1FirstFrameSR", "IF-II-L-v1.0", (1, 8, 8), (150,), 1),
    "pixel SR": ("pixel_sr", "Show1PixelSR", "show-1-sr1", (17, 8, 8), (250,), 3),
}


@pytest.fixture
def shown(monkeypatch):
    """What the host is told: (value, total, preview) of every update."""
    import comfy.utils

    updates = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: updates.append(
        (value, total, preview)))
    return updates


@pytest.fixture
def wish(monkeypatch):
    """Sets what the user chose in the settings: auto, none, latent2rgb or taesd."""
    from comfy.cli_args import LatentPreviewMethod, args

    return lambda method: monkeypatch.setattr(args, "preview_method", LatentPreviewMethod(method))


@pytest.fixture
def clock(pack, monkeypatch):
    """A clock that goes on by so many seconds a look."""

    def start(tick):
        now = itertools.count(1)
        monkeypatch.setattr(pack("nodes.common"), "time", SimpleNamespace(monotonic=lambda: 1000 + next(now) * tick))

    return start


def run(pack, load, t5, stage):
    module, node, model, fed, more, _ = PIXEL_STAGES[stage]
    images = () if fed is None else (torch.rand(*fed, 3, generator=torch.Generator().manual_seed(0)),)
    return getattr(pack(f"nodes.{module}"), node).execute(load(model), *t5, *images, 1, STEPS, 3.0, *more, *PUBLISHED)


@pytest.mark.slow  # five seconds: every stage is run
@pytest.mark.parametrize("stage", PIXEL_STAGES)
def test_one_bar_over_all_windows_with_every_frame_on_a_sheet(pack, load, t5, shown, wish, clock, stage):
    wish("auto")
    clock(1.0)
    run(pack, load, t5, stage)
    total = STEPS * PIXEL_STAGES[stage][-1]
    assert [(value, whole) for value, whole, _ in shown] == [(value, total) for value in range(1, total + 1)]
    for _, _, (kind, picture, _) in shown:
        assert kind == "JPEG" and max(picture.size) > 256 and len(numpy.unique(numpy.asarray(picture))) > 1


@pytest.mark.parametrize("frames", [1, 2, 8, 29])
def test_the_sheet_has_every_frame(pack, frames):
    grey = torch.linspace(-0.9, 0.9, frames)
    sheet = pack("nodes.sheets").contact_sheet(grey.reshape(1, 1, frames, 1, 1).expand(1, 3, frames, 8, 16))
    levels = set(numpy.unique(numpy.asarray(sheet)).tolist())
    assert levels >= {int((value + 1) * 127.5) for value in grey.tolist()}


@pytest.mark.parametrize("tick, least, most", [(0.01, 1, 2), (0.1, STEPS // 3, STEPS // 2 + 1), (1.0, STEPS, STEPS)])
def test_at_most_five_pictures_a_second(pack, load, t5, shown, wish, clock, tick, least, most):
    wish("auto")
    clock(tick)
    run(pack, load, t5, "keyframes")
    assert least <= sum(preview is not None for _, _, preview in shown) <= most


def test_no_picture_for_who_wants_none(pack, load, t5, shown, wish, clock):
    wish("none")
    clock(1.0)
    run(pack, load, t5, "keyframes")
    assert len(shown) == STEPS and all(preview is None for _, _, preview in shown)


@pytest.mark.parametrize("method", ["auto", "latent2rgb", "taesd"])
def test_latents_are_shown_by_the_host(core_sampling, pack, load, clip, shown, wish, method):
    wish(method)
    for sample in core_sampling:
        shown.clear()
        sample(load("show-1-sr2"), clip)
        pictures = [preview[1] for _, _, preview in shown if preview is not None]
        assert len(shown) == 2 and pictures and pictures[0].size == (16, 8)


@pytest.fixture
def core_sampling(pack):
    """The latent stage by the core sampler, and by ours."""
    import nodes

    start = torch.randn(2, 4, 8, 16, generator=torch.Generator().manual_seed(0))

    def core(model, clip):
        nodes.KSampler().sample(model, 3, 2, 5.0, "euler", "normal", *clip, {"samples": start}, denoise=0.8)

    def ours(model, clip):
        cascade, common = pack("show1_core.cascade"), pack("nodes.common")
        run = pack("nodes.run").Run(model, *clip, 3, 2, 5.0, *PUBLISHED)
        common.sampling(run)(cascade.as_clip(start), cascade.Condition(), cascade.as_clip(start), torch.Generator())

    return core, ours


def test_taesd_files_of_the_users_do_not_stop_a_clip(core_sampling, load, clip, wish, shown, tmp_path):
    """The decoder is one of pictures: a clip cannot go through it whole."""
    import folder_paths
    from comfy.taesd.taesd import TAESD
    from safetensors.torch import save_file

    tiny = TAESD(None, None, latent_channels=4)
    save_file(tiny.taesd_decoder.state_dict(), tmp_path / "taesd_decoder.safetensors")
    folder_paths.add_model_folder_path("vae_approx", str(tmp_path))
    wish("taesd")
    for sample in core_sampling:
        shown.clear()
        sample(load("show-1-sr2"), clip)
        assert [preview[1].size for _, _, preview in shown if preview is not None][0] == (128, 64)


@pytest.fixture(scope="module")
def shipped_vae(pack):
    """The VAE that ships with the pack, trained on shaded solids."""
    weights, folder = pack("show1_core.weights"), PACK / "models" / "show1-mini" / "sr2" / "vae"
    tensors = weights.read_tensors(weights.find_weights(folder, "diffusion_pytorch_model"))
    return pack("nodes.host").load_vae(tensors, weights.read_json(folder / "config.json"))


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0)])
def test_latents_are_shown_in_the_colours_of_their_vae(pack, load, shipped_vae, wish, colour):
    wish("auto")
    host, model = pack("nodes.host"), load("show-1-sr2")
    picture = torch.tensor(colour).expand(1, 64, 64, 3)
    latent = model.model.latent_format.process_in(host.encode_posterior(shipped_vae, picture).mean)
    seen = host.colours(shipped_vae, model)(latent.transpose(0, 1)[None])[0, :, 0].mean((1, 2)).clamp(-1, 1)
    assert float((seen - (2 * torch.tensor(colour) - 1)).abs().max()) < 0.5


@pytest.mark.parametrize("method, known", [("auto", True), ("latent2rgb", True), ("none", False)])
def test_colours_are_fitted_for_who_wants_pictures(pack, load, vae, wish, method, known):
    wish(method)
    assert (pack("nodes.host").colours(vae, load("show-1-sr2")) is not None) == known


def test_the_latent_stage_shows_every_frame(pack, load, vae, clip, shown, wish, clock):
    wish("auto")
    clock(1.0)
    frames = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    pack("nodes.latent_sr").Show1LatentSR.execute(load("show-1-sr2"), vae, *clip, frames, 1, 4, 3.0, 0.8, 128, 64, *PUBLISHED)
    sheets = [preview[1] for _, _, preview in shown if preview is not None]
    scale = 512 // 32
    assert sheets and all(sheet.size == (2 * 16 * scale, 2 * 8 * scale) for sheet in sheets)  # two by two places
