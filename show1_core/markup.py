"""The text of a piece of HTML, by the standard library's parser."""

from __future__ import annotations

import html
from html.parser import HTMLParser

UNSEEN = ("script", "style", "template")  # what stands in these is not for a reader


class TextOnly(HTMLParser):
    """Gathers what is not markup. An entity nobody knows stays as it is written, without its semicolon."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self.unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN:
            self.unseen.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing stands in such a tag."""

    def handle_endtag(self, tag: str) -> None:
        if tag in self.unseen:
            del self.unseen[self.unseen.index(tag):]

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        known = html.unescape(f"&{name};")
        self.handle_data(f"&{name}" if known == f"&{name};" else known)

    def handle_charref(self, name: str) -> None:
        self.handle_data(html.unescape(f"&#{name};"))

    def unknown_decl(self, data: str) -> None:
        if data.upper().startswith("CDATA["):
            self.handle_data(data[len("CDATA["):])


def text_of(markup: str) -> str:
    """What a reader of this HTML would see, its lines and blanks as they are."""
    parser = TextOnly()
    parser.feed(markup)
    parser.close()
    return "".join(parser.parts)
