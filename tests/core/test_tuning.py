"""Adapters: what they change, what they leave alone, what a file of them keeps; and the training of them."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from show1_core import load_unet
from show1_core.checkpoints import read_identity
from show1_core.schedule import signal_variance
from show1_core.stages import KEYFRAMES
from show1_core.tuning import adapters as kinds
from show1_core.tuning import frames, motion
from show1_core.tuning import lora_files as files
from show1_core.weights import CheckpointError

MINI = Path(__file__).resolve().parents[2] / "models" / "show1-mini" / "keyframes"
ABAR = signal_variance(KEYFRAMES.schedule)
PLAN = motion.Plan(steps=2, learning_rate=1e-2, rank=2)
# by stage: channels of the clip, of the frames beside it, and the noise level
STAGES = {"show-1-base": (3, 0, None), "show-1-interpolation": (3, 4, None), "IF-II-L-v1.0": (3, 3, 50),
          "show-1-sr1": (3, 3, 50), "show-1-sr2": (4, 0, None)}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def unets(models):
    return {}, models


def unet_of(unets, name="show-1-base"):
    known, models = unets
    return known.setdefault(name, load_unet(models / name))


def network_of(unets, name="show-1-base"):
    return motion.of_library(unet_of(unets, name), ABAR)


def example_of(unet, name="show-1-base", frames=3):
    channels, beside, level = STAGES[name]
    text, size = drawn(1, 5, unet.config.text_dim, seed=1), (frames, *[max(8, unet.config.size_multiple)] * 2)
    return motion.Example(drawn(1, channels, *size), text, drawn(1, beside, *size) if beside else None, level)


def call(unet, example):
    given = example.clip if example.frames is None else torch.cat([example.clip, example.frames], dim=1)
    level = None if example.noise_level is None else torch.tensor(example.noise_level)
    with torch.no_grad():
        return unet(given, torch.tensor(500), example.text, level)


def trained(unets, plan=PLAN, name="show-1-base", steps=2):
    network = network_of(unets, name)
    tuner = motion.Tuner(network, kinds.new_adapters(network.unet, plan.train, plan.rank, plan.seed),
                         example_of(network.unet, name), plan)
    for _ in range(steps):
        tuner.advance()
    return tuner


CASES = [*(("show-1-base", which, 2) for which in kinds.SETS), ("show-1-base", kinds.TEMPORAL_LAYERS, 0),
         *((stage, kinds.SPATIAL_LAYERS, 2) for stage in STAGES if stage != "show-1-base"), ("show-1-sr2", kinds.QKV, 0)]


@pytest.mark.parametrize(("name", "which", "rank"), CASES)
def test_the_chosen_layers_learn_and_no_other_number_moves(unets, name, which, rank):
    unet = unet_of(unets, name)
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    tuner = trained(unets, replace(PLAN, train=which, rank=rank, loss="noise"), name)
    assert set(tuner.adapters.layers) == set(kinds.layers_of(unet, which))
    assert all(parameter.detach().any() for parameter in tuner.adapters.parameters()), "each of them has learnt"
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in unet.parameters())
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


def test_the_sets_are_what_they_say(unets):
    unet = unet_of(unets)
    names = {which: set(kinds.layers_of(unet, which)) for which in kinds.SETS}
    modules = sum(name.split(".")[-2:-1] == ["temp_attentions"] for name, _ in unet.named_modules())
    assert (len(names[kinds.KEYS]), len(names[kinds.QKV])) == (2 * modules, 6 * modules) and modules
    assert names[kinds.KEYS] < names[kinds.QKV] < names[kinds.TEMPORAL_ATTENTION] < names[kinds.TEMPORAL_LAYERS]
    assert names[kinds.SPATIAL_ATTENTION] < names[kinds.SPATIAL_LAYERS]
    assert not names[kinds.SPATIAL_LAYERS] & names[kinds.TEMPORAL_LAYERS]
    assert not any("transformer_in" in name for each in names.values() for name in each)


@pytest.mark.parametrize("rank", [2, 0])
def test_adding_to_a_result_is_adding_to_the_weights(unets, rank):
    tuner = trained(unets, replace(PLAN, train=kinds.TEMPORAL_LAYERS, rank=rank, loss="noise"))
    unet, example = tuner.network.unet, tuner.example
    with kinds.attached(unet, tuner.adapters, 0.7):
        hooked = call(unet, example)
    merged = load_unet(unets[1] / "show-1-base")
    layers = dict(merged.named_modules())
    with torch.no_grad():
        for name, adapter in tuner.adapters.layers.items():
            weight = layers[name].weight
            change = adapter.diff if rank == 0 else (adapter.up.flatten(1) @ adapter.down.flatten(1)).reshape(weight.shape)
            weight += 0.7 * change
    plain = call(unet, example)
    torch.testing.assert_close(hooked, call(merged, example), rtol=1e-4, atol=1e-4)
    assert float((hooked - plain).abs().max()) > 1e-3


def test_strength_0_and_a_new_adapter_are_the_base_bit_for_bit(unets):
    tuner = trained(unets)
    unet, example = tuner.network.unet, tuner.example
    plain = call(unet, example)
    for adapters, strength in ((tuner.adapters, 0.0), (kinds.new_adapters(unet, kinds.QKV, 4, 0), 1.0)):
        with kinds.attached(unet, adapters, strength):
            assert torch.equal(call(unet, example), plain)
    assert torch.equal(call(unet, example), plain), "nothing stays behind"


@pytest.mark.parametrize("rank", [2, 0])
@pytest.mark.parametrize("alone", [True, False], ids=["record among the tensors", "record as metadata"])
def test_saved_and_loaded_it_gives_the_same_bits(unets, tmp_path, rank, alone):
    tuner = trained(unets, replace(PLAN, rank=rank, train=kinds.TEMPORAL_LAYERS))
    unet, example, record = tuner.network.unet, tuner.example, files.Record(base="b", steps=2, prompt="a cat", losses=(1.0, 0.5))
    if alone:
        save_file(files.with_record(files.tensors_of(tuner.adapters), record), tmp_path / "lora.safetensors")
    else:
        files.save(tmp_path / "lora.safetensors", tuner.adapters, record)
    tensors, told = files.read(tmp_path / "lora.safetensors")
    with kinds.attached(unet, tuner.adapters):
        expected = call(unet, example)
    with kinds.attached(unet, files.adapters_from(tensors, unet)):
        assert torch.equal(call(unet, example), expected)
    assert told == record


@pytest.mark.parametrize(("prefix", "down", "up"), [
    ("unet.", "lora_A.weight", "lora_B.weight"), ("unet.", "lora.down.weight", "lora.up.weight"),
    ("base_model.model.", "lora_A.default.weight", "lora_B.default.weight"), ("", "lora_down.weight", "lora_up.weight")])
def test_files_of_other_programs_are_read(unets, prefix, down, up):
    adapters = trained(unets).adapters
    theirs = {}
    for name, value in files.tensors_of(adapters).items():
        theirs[name.replace(files.PREFIX, prefix).replace("lora_down.weight", down).replace("lora_up.weight", up)] = value
    theirs |= {f"{prefix}{name}.alpha": torch.tensor(1.0) for name in adapters.layers}
    for name, read in files.adapters_from(theirs, unet_of(unets)).layers.items():
        assert torch.equal(read.down, adapters.layers[name].down)
        assert torch.allclose(read.up, adapters.layers[name].up / 2), "alpha over rank"


def test_a_lora_for_another_base_is_refused_in_a_sentence(unets):
    tensors = files.tensors_of(trained(unets).adapters)
    with pytest.raises(ValueError, match="was made for another base: .* do not fit this model"):
        files.adapters_from(tensors, unet_of(unets, "show-1-sr1"))
    with pytest.raises(ValueError, match="holds no LoRA of known names"):
        files.adapters_from({"something.weight": torch.zeros(1)}, unet_of(unets))


def norms_and_biases(unet):
    """What core's training writes beside matrices, of one norm and one bias."""
    norm = next(name for name, layer in unet.named_modules() if isinstance(layer, torch.nn.GroupNorm))
    return {f"{files.PREFIX}{norm}.diff": torch.ones_like(unet.get_submodule(norm).weight),
            f"{files.PREFIX}conv_in.diff_b": torch.ones_like(unet.conv_in.bias)}


def test_norms_and_biases_of_a_lora_are_left_out_and_told(unets, caplog):
    unet, adapters = unet_of(unets), trained(unets).adapters
    more = norms_and_biases(unet)
    with caplog.at_level(logging.WARNING):
        read = files.adapters_from(files.tensors_of(adapters) | more, unet)
    assert read.layers.keys() == adapters.layers.keys()
    assert len(caplog.messages) == 1 and "changes 2 norms and biases" in caplog.text
    assert "norm1), which are left out" in caplog.text
    with kinds.attached(unet, read):
        call(unet, example_of(unet))
    with pytest.raises(ValueError, match="changes norms and biases alone"):
        files.adapters_from(more, unet)


def test_a_host_that_puts_norms_and_biases_on_itself_hears_nothing_of_it(unets, caplog):
    with caplog.at_level(logging.WARNING):
        files.check_fits(norms_and_biases(unet_of(unets)), unet_of(unets))
    assert not caplog.messages


def test_a_base_has_one_fingerprint_in_every_dtype_and_another_base_another(unets, models):
    identity, unet = read_identity(models / "show-1-base"), unet_of(unets)
    own = files.fingerprint(identity, unet)
    for dtype in (torch.bfloat16, torch.float16, torch.float8_e4m3fn):
        assert files.fingerprint(identity, load_unet(models / "show-1-base").to(dtype)) == own
    other = load_unet(models / "show-1-base")
    with torch.no_grad():
        other.conv_in.weight[0] *= -1
    assert files.fingerprint(identity, other) != own
    assert files.different_base(files.Record(base="other"), own) and not files.different_base(files.Record(base=own), own)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"steps": "many"}', '{"losses": 3}', "{" * 5000, "null"])
def test_a_record_that_is_none_is_an_empty_one(text):
    assert files.Record.from_json(text) == files.Record()


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "lora.safetensors").write_bytes(b"\x10" + bytes(40))
    for name in ("lora.safetensors", "none.safetensors"):
        with pytest.raises(CheckpointError):
            files.read(tmp_path / name)


@torch.no_grad()
def held_out_loss(network, adapters, example, loss, draws=16):
    """The mean loss over timesteps and noises that no training draws."""
    generator = torch.Generator().manual_seed(2**64 - 1)
    with kinds.attached(network.unet, adapters):
        return sum(float(motion.loss_of(network, example, loss, generator)) for _ in range(draws)) / draws


@pytest.mark.parametrize("loss", [
    motion.FRAME_COSINE, *[pytest.param(loss, marks=pytest.mark.slow) for loss in motion.LOSSES if loss != motion.FRAME_COSINE]])
def test_the_held_out_loss_falls(loss):
    """On weights that have learnt to draw: those of the mini."""
    unet = load_unet(MINI)
    plan = replace(PLAN, loss=loss, learning_rate=1e-3, rank=0, train=kinds.TEMPORAL_LAYERS)
    network = motion.of_library(unet, ABAR)
    clip = torch.full((1, 3, 4, 16, 16), -0.9)
    for frame, (x, y) in enumerate(((1, 1), (4, 9), (9, 2), (11, 10))):
        clip[:, 1, frame, y:y + 5, x:x + 5] = 0.6
    example = motion.Example(clip, drawn(1, 5, unet.config.text_dim, seed=1))
    made = kinds.new_adapters(unet, plan.train, plan.rank, 0)
    before = held_out_loss(network, made, example, loss)
    tuner = motion.Tuner(network, made, example, plan)
    for _ in range(30):
        tuner.advance()
    assert held_out_loss(network, made, example, loss) < 0.99 * before


def test_checkpointing_and_a_pause_change_nothing(unets):
    plain = trained(unets, steps=4)
    again = trained(unets, replace(PLAN, checkpointing=True), steps=4)
    assert plain.losses == pytest.approx(again.losses, rel=1e-5)
    assert not any("forward" in vars(module) for module in plain.network.unet.modules())
    first = trained(unets, steps=2)
    second = motion.Tuner(first.network, files.adapters_from(files.tensors_of(first.adapters), first.network.unet), first.example,
                          PLAN, first.losses)
    assert second.step == 2 and second.advance() == pytest.approx(plain.losses[2], rel=1e-5), "the same draws, and weights"


def test_a_loss_that_is_no_number_stops_and_the_last_good_state_stays(unets):
    tuner = trained(unets, steps=2)
    good = [value.clone() for value in motion.copies(tuner.adapters)]
    tuner.advance()  # from the good state to one that is none
    with torch.no_grad():
        for parameter in tuner.adapters.parameters():
            parameter.fill_(math.nan)
    with pytest.raises(motion.NotLearning, match=r"nan in step 4 .* what 2 steps have learnt is kept\. Lower learning_rate"):
        tuner.advance()
    assert all(torch.equal(value, kept) for value, kept in zip(tuner.adapters.parameters(), good)) and tuner.step == 2


def test_short_memory_recomputes_then_takes_smaller_frames_then_says_so(unets, monkeypatch, caplog):
    network = network_of(unets)
    tuner = motion.Tuner(network, kinds.new_adapters(network.unet, kinds.QKV, 2, 0),
                         replace(example_of(network.unet), clip=drawn(1, 3, 3, 32, 32)), PLAN)
    seen, room = [], [5]
    plain = motion.loss_of

    def short(network, example, loss, draws):
        seen.append((example.clip.shape[-1], tuner.checkpointing))
        if len(seen) < room[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(network, example, loss, draws)

    monkeypatch.setattr(motion, "loss_of", short)
    room[0] = 4
    tuner.advance()
    assert seen == [(32, False), (32, True), (16, True), (8, True)] and tuner.step == 1
    assert "instead of being kept" in caplog.text and "from 32x32 to 16x16" in caplog.text
    room[0] = 99
    with pytest.raises(RuntimeError, match="training on 8x8 with 3 frames does not fit into memory"):
        tuner.advance()
    assert tuner.step == 1


@pytest.mark.parametrize(("change", "said"), [
    ({"loss": "sharpness"}, "loss is 'sharpness'; expected one of"), ({}, "images has 1 frame")])
def test_what_cannot_be_learnt_is_refused_first(unets, change, said):
    network = network_of(unets)
    one = example_of(network.unet, frames=1)
    with pytest.raises(ValueError, match=said):
        motion.Tuner(network, kinds.new_adapters(network.unet, kinds.QKV, 2, 0), one, replace(PLAN, **change))


def test_one_frame_can_be_learnt_by_its_noise(unets):
    network = network_of(unets)
    plan = replace(PLAN, loss="noise", train=kinds.SPATIAL_ATTENTION)
    tuner = motion.Tuner(network, kinds.new_adapters(network.unet, plan.train, 2, 0), example_of(network.unet, frames=1), plan)
    assert math.isfinite(tuner.advance())


def test_frames_that_hold_nan_are_refused(unets):
    network, example = network_of(unets), example_of(unet_of(unets))
    example.clip[0, 0, 0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="images holds NaN"):
        motion.Tuner(network, kinds.new_adapters(network.unet, kinds.QKV, 2, 0), example, PLAN)


def test_an_unknown_set_or_one_without_layers_is_refused(unets):
    with pytest.raises(ValueError, match="train is 'ears'; expected one of"):
        kinds.layers_of(unet_of(unets), "ears")
    with pytest.raises(ValueError, match="of which this model has no layer"):
        kinds.layers_of(unet_of(unets, "IF-II-L-v1.0"), kinds.QKV)


def test_the_tensors_of_a_file_are_those_of_the_published_names(unets):
    adapters = trained(unets).adapters
    names = {name.removeprefix(files.PREFIX).rsplit(".lora_", 1)[0] + ".weight" for name in files.tensors_of(adapters)}
    assert names <= set(unet_of(unets).state_dict())


def test_metadata_is_readable_by_others(unets, tmp_path):
    files.save(tmp_path / "lora.safetensors", trained(unets).adapters, files.Record(prompt="a cat"))
    assert files.RECORD not in load_file(tmp_path / "lora.safetensors"), "loaders see tensors of layers alone"


@pytest.mark.parametrize(("given", "expected"), [
    ((8, 40, 64), (8, 40, 64)), ((2, 8, 8), (2, 8, 8)), ((200, 480, 640), (8, 40, 64)), ((9, 41, 67), (8, 40, 64)),
    ((3, 64, 40), (3, 64, 40)), ((1, 7, 5), (1, 40, 64))])
def test_frames_are_fitted_to_the_model(models, given, expected):
    images = torch.arange(given[0], dtype=torch.float32)[:, None, None, None].expand(*given, 3) / given[0]
    found = frames.fitted(images, read_identity(models / "show-1-base"))
    assert found.shape == (*expected, 3)
    levels = (found[:, 0, 0, 0] * given[0]).round().int().tolist()
    assert levels[0] == 0 and levels[-1] == given[0] - 1 and levels == sorted(set(levels))


def test_compiled_blocks_train_as_they_are_written(models):
    from show1_core.models.compile import REGIONS, as_written

    unet = load_unet(models / "show-1-base")
    blocks = [block for block in unet.modules() if isinstance(block, REGIONS)]
    for block in blocks:
        block.compile()
    before = [block._compiled_call_impl for block in blocks]
    with as_written(unet):
        assert all(block._compiled_call_impl is None for block in blocks)
    assert [block._compiled_call_impl for block in blocks] == before and None not in before


# how a layer's two matrices are called by other programs: prefix, down, up
NAMINGS = [("diffusion_model.", "lora_down.weight", "lora_up.weight"), ("unet.", "lora_A.weight", "lora_B.weight"),
           ("unet.", "lora.down.weight", "lora.up.weight"),
           ("base_model.model.", "lora_A.default.weight", "lora_B.default.weight"),
           ("diffusion_model.", "lora_A.weight", "lora_B.weight"), ("", "lora_A.weight", "lora_B.weight")]


@pytest.mark.parametrize(("prefix", "down", "up"), NAMINGS)
def test_every_naming_becomes_the_native_one(prefix, down, up):
    layer, ours = "up_blocks.1.attentions.0.to_q", files.PREFIX + "up_blocks.1.attentions.0.to_q"
    theirs = {f"{prefix}{layer}.{down}": 1, f"{prefix}{layer}.{up}": 2, f"{prefix}{layer}.alpha": 3, "lora_te_text.alpha": 4,
              f"{prefix}{layer}.dora_scale": 5, files.RECORD: 6}
    assert files.in_native_names(theirs) == {
        f"{ours}.lora_down.weight": 1, f"{ours}.lora_up.weight": 2, f"{ours}.alpha": 3, "lora_te_text.alpha": 4,
        f"{ours}.dora_scale": 5, files.RECORD: 6}


@pytest.mark.parametrize("part", ["dora_scale", "lora_mid.weight", "reshape_weight"])
def test_parts_that_would_be_dropped_in_silence_are_refused(unets, part):
    tensors = files.tensors_of(trained(unets).adapters)
    strange = f"{next(iter(tensors)).split('.lora_')[0]}.{part}"
    with pytest.raises(ValueError, match=f"1 tensors that are not read here, such as .*{part}"):
        files.adapters_from(tensors | {strange: torch.ones(1)}, unet_of(unets))
    others = {"text_encoder.layer.dora_scale": torch.ones(1), files.RECORD: torch.ones(1)}
    assert files.adapters_from(tensors | others, unet_of(unets)).layers


def test_flat_names_are_those_of_the_layers(unets):
    adapters = trained(unets).adapters
    flat = {}
    for name, value in files.tensors_of(adapters).items():
        layer, ending = name.removeprefix(files.PREFIX).split(".lora_")
        flat[f"lora_unet_{layer.replace('.', '_')}.lora_{ending}"] = value
    assert files.in_native_names(flat).keys() == flat.keys(), "a host's loaders know them"
    assert files.adapters_from(flat, unet_of(unets)).layers.keys() == adapters.layers.keys()


def test_a_file_without_a_lora_of_a_unet_is_refused():
    with pytest.raises(ValueError, match="holds no LoRA of known names"):
        files.in_native_names({"lora_te_text_model.lora_up.weight": torch.zeros(1), files.RECORD: torch.zeros(1)})
