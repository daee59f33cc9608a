"""What one looks at while a batch runs: a sheet of the newest results, pages with all, and their prompts as a table."""

from __future__ import annotations

import csv
import html
import io
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from .manifest import State
from .results import PICTURES, VIDEOS

SHEET = "contact-sheet.png"
PROMPTS = "prompts.csv"
SHOWN, COLUMNS = 24, 6
CELL, CAPTION, GAP = (288, 180), 14, 6  # pixels
PER_PAGE = 500
STYLE = ("body{font:14px sans-serif;margin:1em}main{display:flex;flex-wrap:wrap;gap:1em}"
         "figure{margin:0;width:288px}video,img{width:100%}figcaption{overflow-wrap:anywhere}small{color:#777}")


class Pages:
    """The sheet and the pages of one output folder."""

    def __init__(self, folder: Path, state: State) -> None:
        self._folder = folder
        self._state = state
        self._full = 0  # pages that are written and will not change

    def write(self) -> None:
        """Write them anew; a page that is full is written once."""
        lines = list(self._state.finished)
        if not lines:
            return
        sheet(lines[-SHOWN:][::-1], self._folder)
        _replace(self._folder / PROMPTS, _prompts(lines).encode("utf-8"))
        count = -(-len(lines) // PER_PAGE)
        for number in range(self._full, count):
            _replace(self._folder / _page_name(number), self._page(lines, number, count).encode("utf-8"))
        self._full = len(lines) // PER_PAGE - 1 if len(lines) > PER_PAGE else 0  # the last full one gets its link onwards yet

    def _page(self, lines: list[dict[str, Any]], number: int, count: int) -> str:
        shown = lines[number * PER_PAGE:(number + 1) * PER_PAGE]
        links = [("earlier", number - 1)] * (number > 0) + [("later", number + 1)] * (number + 1 < count)
        ways = " ".join(f'<a href="{_page_name(to)}">{text}</a>' for text, to in links)
        first = number * PER_PAGE + 1
        return (f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Results</title><style>{STYLE}</style>'
                f"<p>Results {first} to {first + len(shown) - 1}, in the order in which they were made. {ways}</p>"
                f"<main>{''.join(map(_figure, shown))}</main><p>{ways}</p></html>\n")


def sheet(lines: list[dict[str, Any]], folder: Path) -> None:
    """A picture of these results, each with its row and the beginning of its prompt."""
    width, height = CELL[0] + GAP, CELL[1] + CAPTION + GAP
    rows = -(-len(lines) // COLUMNS)
    canvas = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "black")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        x, y = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        picture = picture_of(folder / line["id"])
        if picture:
            picture.thumbnail(CELL)
            canvas.paste(picture, (x, y))
        text = f"{line['row']}: {line.get('prompt') or ''}".encode("latin-1", "replace").decode("latin-1")
        draw.text((x, y + CELL[1] + 1), " ".join(text.split())[:46], fill="white")
    part = folder / f"{SHEET}.part"
    canvas.save(part, format="PNG")
    part.replace(folder / SHEET)


def picture_of(result: Path) -> Image.Image | None:
    """A picture of a result: of a video the frame in its middle; None where there is neither picture nor video."""
    for file in sorted(result.iterdir()):
        if file.suffix.lower() in VIDEOS:
            return _middle_frame(file)
        if file.suffix.lower() in PICTURES:
            with Image.open(file) as picture:
                return picture.convert("RGB")
    return None


def _middle_frame(file: Path) -> Image.Image | None:
    import av

    with av.open(str(file)) as video:
        if not video.streams.video:
            return None
        frames = list(islice(video.decode(video=0), video.streams.video[0].frames // 2 + 1))
        return frames[-1].to_image() if frames else None


def _figure(line: dict[str, Any]) -> str:
    files = "".join(_file(f"{line['id']}/{name}") for name in line["sha256"])
    values = ", ".join(f"{name} = {value}" for name, value in line["values"].items())
    text = html.escape(line.get("prompt") or "")
    return f"<figure>{files}<figcaption>{text}<br><small>row {line['row']}: {html.escape(values)}</small></figcaption></figure>\n"


def _file(path: str) -> str:
    place, suffix = html.escape(path, quote=True), Path(path).suffix.lower()
    if suffix in VIDEOS:
        return f'<video src="{place}" controls loop preload="none"></video>'
    if suffix in PICTURES:
        return f'<img src="{place}" loading="lazy" alt="">'
    return f'<a href="{place}">{html.escape(Path(path).name)}</a>'


def _prompts(lines: list[dict[str, Any]]) -> str:
    """Every result with its prompt, as evaluate.py reads it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("id", "row", "prompt"))
    rows.writerows((line["id"], line["row"], line["prompt"]) for line in lines if line.get("prompt"))
    return text.getvalue()


def _page_name(number: int) -> str:
    return f"index-{number + 1}.html" if number else "index.html"


def _replace(file: Path, content: bytes) -> None:
    part = file.with_name(file.name + ".part")
    part.write_bytes(content)
    part.replace(file)
