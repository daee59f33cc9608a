"""The words around the nodes: help pages and translations say something about everything the nodes have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from schemas import REPO, english, schemas

DOCS, LOCALES = REPO / "web" / "docs", REPO / "locales"
CONTRACT = {
    "Show1ModelLoader", "Show1TextEncoderLoader", "Show1VAELoader", "Show1T5Encode", "Show1KeyframeSampler", "Show1Interpolator",
    "Show1FirstFrameSR", "Show1PixelSR", "Show1LatentSR",
}


@pytest.fixture(scope="module")
def nodes() -> dict[str, SimpleNamespace]:
    return schemas()


def locale(language: str, file: str = "nodeDefs.json") -> dict[str, Any]:
    return json.loads((LOCALES / language / file).read_text(encoding="utf-8"))


def row_names(page: str) -> set[str]:
    """The inputs that a page lists."""
    return set(re.findall(r"^- \*\*`(\w+)`\*\*", page, re.MULTILINE))


def test_every_node_of_the_contract_is_there(nodes: dict[str, SimpleNamespace]) -> None:
    assert nodes.keys() >= CONTRACT


def test_every_node_has_a_page_about_every_input(nodes: dict[str, SimpleNamespace]) -> None:
    for node_id, schema in nodes.items():
        page = (DOCS / f"{node_id}.md").read_text(encoding="ascii")
        assert page.startswith(f"# {schema.display_name}\n"), node_id
        assert row_names(page) == {socket.id for socket in schema.inputs}, node_id
        assert {"## Inputs", "## What it costs", "## Common mistakes"} <= set(page.splitlines()), node_id


def test_every_node_has_a_chinese_page_about_every_input(nodes: dict[str, SimpleNamespace]) -> None:
    """Where the frontend looks first: under the node's id and the language's."""
    names = locale("zh")
    for node_id, schema in nodes.items():
        page = (DOCS / node_id / "zh.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {names[node_id]['display_name']}\n"), node_id
        assert row_names(page) == {socket.id for socket in schema.inputs}, node_id
        assert {"## \u8f93\u5165", "## \u5f00\u9500"} <= set(page.splitlines()), node_id  # inputs, what it costs


def test_no_page_has_a_table() -> None:
    """The help panel is narrow."""
    assert not [page for page in DOCS.rglob("*.md") if re.search(r"^\|", page.read_text(encoding="utf-8"), re.MULTILINE)]


def test_no_page_is_about_a_node_that_is_gone(nodes: dict[str, SimpleNamespace]) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == nodes.keys()
    assert {page.parent.name for page in DOCS.glob("*/*.md")} == nodes.keys()


def test_pages_name_the_defaults_of_the_recipe(nodes: dict[str, SimpleNamespace]) -> None:
    for node_id, schema in nodes.items():
        page = (DOCS / f"{node_id}.md").read_text(encoding="ascii")
        for socket in schema.inputs:
            if socket.id in ("steps", "cfg", "noise_level", "frames", "width", "height"):
                row = next(line for line in page.splitlines() if line.startswith(f"- **`{socket.id}`**"))
                assert f"{socket.words['default']:g}" in re.split(r"\W+", row), (node_id, socket.id)


def test_english_is_what_the_nodes_say() -> None:
    assert locale("en") == english(), "run `python tests/core/schemas.py`, and translate what changed"


@pytest.mark.parametrize("language", ["zh"])
def test_a_translation_covers_every_input_and_output(language: str) -> None:
    translated, original = locale(language), english()
    assert translated.keys() == original.keys()
    for node_id, words in original.items():
        assert translated[node_id].keys() == words.keys(), node_id
        for part in ("inputs", "outputs"):
            assert translated[node_id][part].keys() == words[part].keys(), (node_id, part)
            for socket, said in words[part].items():
                assert translated[node_id][part][socket].keys() >= said.keys(), (node_id, socket)


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?", text))


@pytest.mark.parametrize("language", ["zh"])
def test_numbers_survive_translation(language: str) -> None:
    """A changed default is not forgotten in another language."""
    translated, original = locale(language), english()
    for node_id, words in original.items():
        for socket, said in words["inputs"].items():
            theirs = translated[node_id]["inputs"][socket].get("tooltip", "")
            assert numbers(said.get("tooltip", "")) <= numbers(theirs), (node_id, socket)


def test_every_word_is_there_and_translated() -> None:
    for node_id, words in locale("zh").items():
        texts = [words["description"], *(said[key] for said in words["inputs"].values() for key in ("name", "tooltip"))]
        assert all(text.strip() for text in texts), node_id
        assert re.search(r"[\u4e00-\u9fff]", words["description"]), node_id


def test_the_category_is_named_in_every_language(nodes: dict[str, SimpleNamespace]) -> None:
    categories = {schema.category for schema in nodes.values()}
    for folder in LOCALES.iterdir():
        assert locale(folder.name, "main.json")["nodeCategories"].keys() == categories, folder


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_pages_point_to_what_exists(page: Path) -> None:
    for script in re.findall(r"scripts/\w+\.py", page.read_text(encoding="ascii")):
        assert (REPO / script).is_file(), script
