"""Guidance split over cards, and second MODELs, as newer hosts make them: played by stand-ins for their patcher and their split.

Two threads on one CPU stand for two cards: each half of guidance has a network of its own, made by the loader's factory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import comfy.model_patcher
import comfy.samplers
import pytest
import torch
from recording import error

pytestmark = pytest.mark.slow  # ten seconds, and few have two cards
PUBLISHED = ("published", "published")
Play = Callable[[Callable[[int], torch.Tensor]], list[torch.Tensor]]


class NewerPatcher(comfy.model_patcher.ModelPatcher):
    """What newer hosts add: a way to a second model that the loader gives, and that clones keep."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cached_patcher_init: Any = None

    def clone(self, disable_dynamic: bool = False) -> Any:
        clone = super().clone()
        clone.cached_patcher_init = self.cached_patcher_init
        if disable_dynamic:
            factory, arguments = self.cached_patcher_init
            clone.model = factory(*arguments, disable_dynamic=True).model
        return clone

    def second(self) -> Any:
        """A clone with weights of its own."""
        factory, arguments = self.cached_patcher_init
        clone = self.clone()
        clone.model, clone.backup, clone.object_patches_backup = factory(*arguments).model, {}, {}
        return clone


def in_turns(half: Callable[[int], torch.Tensor]) -> list[torch.Tensor]:
    return [half(0), half(1)]


def at_once(half: Callable[[int], torch.Tensor]) -> list[torch.Tensor]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(half, range(2)))


@pytest.fixture
def newer(pack, models, monkeypatch):
    """A miniature as a newer host has it."""
    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", NewerPatcher, raising=False)
    return lambda name, *words: pack("nodes.host").load_from_file(models / name, *(words or ("fp32",)))


def split(model: Any, second: Any, play: Play) -> Any:
    """The MODEL with its halves of guidance computed by two networks, `play` saying how; without gradients, as the host does."""
    model = model.clone()

    def halves(given: dict[str, Any]) -> list[torch.Tensor]:
        def half(number: int) -> torch.Tensor:
            patcher, alone = (model, second)[number], [None, None]
            alone[number] = given["conds"][number]
            options = given["model_options"]
            inside = {**options["transformer_options"], "multigpu_thread_device": torch.device("cpu")}
            with torch.no_grad():
                patcher.pre_run()
                return comfy.samplers.calc_cond_batch(patcher.model, alone, given["input"], given["sigma"],
                                                      {**options, "transformer_options": inside})[number]
        return play(half)

    model.set_model_sampler_calc_cond_batch_function(halves)
    return model


@pytest.fixture
def draw(pack, t5):
    """Frames of a stage with guidance."""
    def draw(model: Any) -> torch.Tensor:
        image = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
        if model.model.show1.stage.name == "keyframes":
            return pack("nodes.keyframes").Show1KeyframeSampler.execute(model, *t5, 1, 3, 5.0, 2, 8, 8, *PUBLISHED).args[0]
        return pack("nodes.pixel_sr").Show1FirstFrameSR.execute(model, *t5, image, 1, 3, 4.0, 150, *PUBLISHED).args[0]
    return draw


@pytest.mark.parametrize("words", [("fp32",), ("bf16", "eager"), ("auto", "auto", "auto")])
def test_the_factory_makes_the_same_model_with_weights_of_its_own(newer, draw, words) -> None:
    model = newer("show-1-base", *words)
    second = model.second()
    weights, others = (dict(one.model.named_parameters()) for one in (model, second))
    assert all(torch.equal(weights[name], others[name]) and weights[name].data_ptr() != others[name].data_ptr()
               for name in weights)
    first_network, network = (one.model.diffusion_model for one in (model, second))
    assert (network.backend, {*network.ways}) == (first_network.backend, {*first_network.ways})
    assert torch.equal(draw(second), draw(model))


def test_clones_keep_the_factory_and_may_ask_for_the_plain_patcher(newer, draw) -> None:
    model = newer("show-1-base")
    clone = model.clone().clone()
    factory, arguments = clone.cached_patcher_init
    assert type(factory(*arguments)) is NewerPatcher
    assert type(factory(*arguments, disable_dynamic=True)) is comfy.model_patcher.ModelPatcher
    assert torch.equal(draw(clone.clone(disable_dynamic=True)), draw(model))


def test_a_host_that_makes_no_second_models_is_left_alone(pack, models) -> None:
    assert not hasattr(pack("nodes.host").load_from_file(models / "show-1-base", "fp32"), "cached_patcher_init")


@pytest.mark.parametrize("name", ["show-1-base", "IF-II-L-v1.0"])
def test_halves_of_guidance_at_once_are_those_in_turns(newer, draw, name) -> None:
    """To the bit, and in the second stage with the variance channels of the prompt's half."""
    model = newer(name)
    second = model.second()
    expected = draw(split(model, model, in_turns))
    assert torch.equal(draw(split(model, second, at_once)), expected)
    assert error(draw(model), expected) <= 1e-4


def test_each_network_makes_its_choices_of_kernels_once_a_run(pack, newer, draw, monkeypatch) -> None:
    made, report = [], pack("nodes.host.report")

    class Counted(report.Selection):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(report, "Selection", Counted)
    model = newer("show-1-base")
    draw(split(model, model.second(), at_once))
    assert len(made) == 2 and all(selection.known for selection in made)


@pytest.mark.parametrize("on_gpu, hooked, patched, happens, options, expected", [
    (True, False, False, None, {}, None),
    (False, False, False, None, {}, "the tensors are not on a GPU"),
    (True, True, False, None, {}, "hooks change the network from call to call"),
    (True, False, True, None, {}, "patches or texts over time change the network from call to call"),
    (True, False, False, "are cast on the fly by the host", {}, "weights are cast on the fly by the host"),
    (True, False, False, None, {"multigpu_thread_device": torch.device("cpu")}, "guidance is split over cards"),
])
def test_what_keeps_calls_plain(pack, on_gpu, hooked, patched, happens, options, expected) -> None:
    assert pack("nodes.host.network").obstacle(on_gpu, hooked, patched, ((1, None), (2, happens)), options) == expected
