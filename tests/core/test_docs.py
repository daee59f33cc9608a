"""The documents: what the code cites exists, links lead somewhere, the README stays short, claims have a test or a record."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("nodes", "show1_core", "mini", "benchmarks", "scripts", "tests")
CODE = sorted(page for room in ROOMS for page in (REPO / room).rglob("*.py"))
PAGES = sorted(page for room in (".", "docs", "web", "models", *ROOMS)
               for page in (REPO / room).glob("*.md" if room == "." else "**/*.md"))
SECTION = r"T?\d+(?:\.\d+)*[a-z]?"
CITATION = re.compile(rf"\b(numerics|comfyui) ({SECTION}(?:,? (?:and )?{SECTION})*)\b")
README_LINES, README_WORDS = 150, 900


def name(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


def sections(page: str) -> set[str]:
    """Numbers of a page's headings: `### 3.4 Resnet block` is 3.4."""
    text = (REPO / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return set(re.findall(rf"^#+ ({SECTION})\.? ", text, re.MULTILINE))


def citations(text: str) -> Iterator[tuple[str, str]]:
    """(page, section) of everything that a file cites; `numerics 2.8, 2.9` is two."""
    for page, listed in CITATION.findall(text):
        for section in re.findall(SECTION, listed):
            yield page, section


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links: lower case, dashes for blanks, no punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Targets of a page's Markdown links and pictures that are not addresses, code left out."""
    text = re.sub(r"```.*?```|^ {4}.*?$|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [target for target in re.findall(r"\]\(<?([^)\s>]+)", text) if not re.match(r"\w+:", target)]


@pytest.mark.parametrize("page", ["numerics", "comfyui"])
def test_every_cited_section_exists(page: str) -> None:
    cited = {(name(file), section) for file in CODE for to, section in citations(file.read_text(encoding="utf-8")) if to == page}
    assert cited, f"no code cites docs/{page}.md"
    there = sections(page)
    assert not {(file, section) for file, section in cited if section not in there}


@pytest.mark.parametrize(("text", "expected"), [
    ("(numerics 2.8, T9)", [("numerics", "2.8"), ("numerics", "T9")]),
    ("numerics 3.4 for one, and comfyui 4b.", [("numerics", "3.4"), ("comfyui", "4b")]),
    ("numerics 3.2.1, what follows", [("numerics", "3.2.1")]),
    ("numerics 3.4 and 3.5.", [("numerics", "3.4"), ("numerics", "3.5")])])
def test_citations_are_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert list(citations(text)) == expected


def test_every_page_named_in_the_code_exists() -> None:
    """Pages under docs/, and any page whose name is in capitals: nothing points outside the repository."""
    ours = {page.name for page in PAGES}
    for file in CODE:
        text = file.read_text(encoding="utf-8")
        for path in re.findall(r"docs/[\w-]+\.(?:md|webp|jpg|png)", text):
            assert (REPO / path).is_file() or (REPO / "web" / path).is_file(), (name(file), path)
        for page in re.findall(r"\b[A-Z]{3,}\.md\b", text):
            assert page in ours, (name(file), page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)} links to {target}"


def test_every_template_has_a_picture_of_its_graph() -> None:
    page, shown = REPO / "docs" / "templates.md", REPO / "docs" / "templates"
    titles = {file.stem for file in (REPO / "example_workflows").glob("*.json")}
    linked = {Path(unquote(link)).stem for link in links(page) if link.endswith(".jpg")}
    assert titles == {file.stem for file in shown.iterdir()} == linked


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_a_page_names_exists(page: Path) -> None:
    """`show1_core/schedule.py` in a page is a file; `scripts/` a folder."""
    for path in re.findall(rf"`((?:{'|'.join(ROOMS)}|docs|models|web)/[\w./-]*\w)`", page.read_text(encoding="utf-8")):
        if not path.startswith("models/") or path.startswith("models/show1-mini"):  # other models/ are the user's
            assert (REPO / path).exists(), f"{name(page)} names {path}"


def test_the_readme_is_short() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    assert len(text.split()) <= README_WORDS


def plain(text: str) -> str:
    """Text without Markdown's marks and line breaks, links by their words."""
    return " ".join(re.sub(r"[*`]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)).split())


def claims(page: str) -> list[tuple[str, list[str]]]:
    """(quotation, what holds it) of each row of docs/claims.md under the heading of a page."""
    text = (REPO / "docs" / "claims.md").read_text(encoding="utf-8")
    section = re.split(rf"^## {page}$", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)[1:]
    return [(quotation, re.findall(r"`([^`]+)`", held)) for quotation, held in rows]


@pytest.mark.parametrize(("page", "file"), [("README", "README.md"), ("SECURITY.md", "SECURITY.md")])
def test_every_claim_is_made_and_held(page: str, file: str) -> None:
    said = plain((REPO / file).read_text(encoding="utf-8"))
    for quotation, held in claims(page):
        assert plain(quotation) in said, f"{file} does not say: {quotation}"
        assert held, f"nothing holds: {quotation}"
        for record in held:
            path, _, test = record.partition("::")
            assert (REPO / path).is_file(), record
            assert not test or f"def {test}(" in (REPO / path).read_text(encoding="utf-8"), record


def test_every_promise_has_a_row() -> None:
    """What is bold in SECURITY's list is a promise."""
    text = (REPO / "SECURITY.md").read_text(encoding="utf-8")
    promises = {plain(bold) for bold in re.findall(r"^- (\*\*.+?\*\*)", text, re.MULTILINE)}
    assert promises and promises <= {plain(quotation) for quotation, _ in claims("SECURITY.md")}


def sets_up(file: Path) -> bool:
    """Whether a file takes what sets up a ComfyUI: from `hosting.install`, or by `serving` of benchmarks/judge_cascade.py."""
    return any(node.module == "hosting.install" or "serving" in {alias.name for alias in node.names}
               for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom))


def test_every_command_that_sets_up_is_named() -> None:
    """SECURITY's list of what downloads is whole, and holds nothing else but `download.py`."""
    text = (REPO / "SECURITY.md").read_text(encoding="utf-8")
    promise = next(line for line in text.splitlines() if line.startswith("- **Nothing is downloaded unless"))
    parts = REPO / "scripts" / "testing"  # of test.py
    found = {file.name for room in ("scripts", "benchmarks") for file in (REPO / room).rglob("*.py")
             if sets_up(file) and parts not in file.parents}
    assert found | {"download.py"} == {Path(path).name for path in re.findall(r"`([\w/]+\.py)", promise)}


def test_the_archive_keeps_what_the_readme_links() -> None:
    """`.comfyignore` reads like .gitignore; whoever gets the archive sees the README's pictures and pages."""
    command = ["git", "ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"]
    left_out = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout.split("\0")
    linked = {unquote(target).partition("#")[0] for target in links(REPO / "README.md")}
    assert linked and not linked & set(left_out)
