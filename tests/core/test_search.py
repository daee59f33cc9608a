"""What finds the nodes: further words for the search, and the order in which a fresh loader offers models."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import schemas as stand_ins_of
from schemas import PACK, schemas

SEARCHED = ("text to video", "upscale video", "interpolate", "super resolution", "t2v", "pixel diffusion")


class RoomySchema(SimpleNamespace):
    """The schema of a newer host."""

    def __init__(self, search_aliases: list[str] | None = None, **others: object) -> None:
        super().__init__(search_aliases=search_aliases, **others)


class RoomlessSchema(SimpleNamespace):
    """The schema of the oldest host that is supported."""

    def __init__(self, node_id: str, display_name: str, category: str, inputs: list[object], outputs: list[object],
                 description: str = "") -> None:
        super().__init__(node_id=node_id, display_name=display_name, category=category, inputs=inputs, outputs=outputs)


@pytest.mark.parametrize("word", SEARCHED)
def test_a_newer_host_finds_a_node(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins_of.StandInIo, "Schema", RoomySchema)
    assert any(word in (schema.search_aliases or []) for schema in schemas().values())


def test_an_older_host_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_ins_of.StandInIo, "Schema", RoomlessSchema)
    assert all(not hasattr(schema, "search_aliases") for schema in schemas().values())


NODES = {"keyframes": "Show1KeyframeSampler", "interpolation": "Show1Interpolator", "first-frame": "Show1FirstFrameSR",
         "sr1": "Show1PixelSR", "sr2": "Show1LatentSR"}


def test_titles_in_sentences_are_those_of_the_nodes() -> None:
    from show1_core.stages import STAGES

    displayed = {schema.node_id: schema.display_name for schema in schemas().values()}
    with stand_ins_of.stand_ins():
        stand_ins_of.load_pack()
        titles = importlib.import_module(f"{PACK}.nodes.titles")
        assert [titles.title_of(stage) for stage in STAGES] == [displayed[NODES[stage.name]] for stage in STAGES]


@pytest.mark.parametrize("names, first", [
    (["show1-mini/first-frame", "show1-mini/interpolation", "show1-mini/keyframes", "show1-mini/sr1"], "show1-mini/keyframes"),
    (["IF-II-L-v1.0", "show-1-base", "show-1-interpolation", "show1-mini/keyframes"], "show-1-base"),
    (["other.safetensors", "show-1-sr2", "show-1-sr1.safetensors"], "show-1-sr1.safetensors"),
])
def test_a_fresh_loader_offers_what_comes_first_in_the_cascade(names: list[str], first: str) -> None:
    with stand_ins_of.stand_ins():
        stand_ins_of.load_pack()
        loaders = importlib.import_module(f"{PACK}.nodes.loaders")
        assert sorted(names, key=loaders.place)[0] == first


def test_frames_that_a_core_sampler_lacks_are_named() -> None:
    with stand_ins_of.stand_ins():
        stand_ins_of.load_pack()
        wanted = importlib.import_module(f"{PACK}.nodes.titles").frames_wanted
        from show1_core.stages import STAGES

        def identity(stage: object, channels: int) -> SimpleNamespace:
            return SimpleNamespace(stage=stage, source=SimpleNamespace(name="show-1-x"),
                                   config=SimpleNamespace(in_channels=channels, sample_channels=3))

        keyframes, interpolation, first_frame, pixel_sr, _ = STAGES
        assert wanted(identity(keyframes, 3)) is None
        assert "Show-1 Interpolation Conditioning" in wanted(identity(interpolation, 7))
        assert "Show-1 Pixel SR Conditioning" in wanted(identity(pixel_sr, 6))
        assert "sample with Show-1 First Frame SR." in wanted(identity(first_frame, 6))
