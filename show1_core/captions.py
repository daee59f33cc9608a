"""What happens to a prompt before the tokenizer (numerics 2.1)."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

TOKENS, PAD, END = 77, 0, 1

# (what is found, what stands in its place), in order; the cleaning that the text models' training captions went through
RULES: tuple[tuple[str, str], ...] = (
    (r"<person>", "person"),
    (r"\b(?:https?:)?(?://)?(?:www\.)?[\w.-]+\.(?:com|co|ru|net|org|edu|gov|it)\b[^\s]*", ""),  # addresses
    (r"<[^>]*>", " "),  # HTML
    (r"@[\w]+", ""),  # nicknames
    (r"[\u3000-\u303f\u31c0-\u31ef\u31f0-\u31ff\u3200-\u32ff\u3300-\u33ff\u3400-\u4dbf\u4dc0-\u4dff\u4e00-\u9fff]+", ""),
    (r"[\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d]+",
     "-"),
    (r"[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", '"'),
    (r"[\u2018\u2019]", "'"),
    (r"&(?:quot|amp)?;?", ""),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),  # network addresses
    (r"\d:\d\d\s+$", ""),  # a forum's article number
    (r"\\n", " "),
    (r"#\d{1,3}\b|#\d{5,}\b|\b\d{6,}\b", ""),  # identifiers
    (r"\S+\.(?:png|jpe?g|bmp|webp|eps|pdf|apk|mp4)\b", ""),  # file names
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#\u00ae\u2022\u00a9\u2122&@\u00b7\u00ba\u00bd\u00be\u00bf\u00a1\u00a7~)(\]\[}{|\\/*]+", " "),  # punctuation of no meaning
    (r"\s+\.\s+", " "),
)
SECOND_RULES: tuple[tuple[str, str], ...] = (
    (r"\b[a-z]{1,3}\d{3,15}\b|\b[a-z]+\d+[a-z]+\b|\b\d+[a-z]+\d+\b", ""),  # letters and digits mixed are identifiers
    (r"(?:worldwide\s+)?(?:free\s+)?shipping|(?:free\s)?download(?:\sfree)?|\bclick\b\s(?:for|on)\s\w+", ""),
    (r"\b(?:png|jpe?g|bmp|webp|eps|pdf|apk|mp4)(?:\simages?)?\b", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d+\.?\d*[x\u0445\u00d7]\d+\.?\d*\b", ""),  # sizes
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
)
EDGES: tuple[tuple[str, str], ...] = (
    (r"^[\"'](.+)[\"']$", r"\1"), (r"^['_,\-:;]", ""), (r"['_,\-:+]$", ""), (r"^\.\S+$", ""))


def preprocess(prompt: str, clean: bool) -> str:
    """Lower case without outer blanks; with `clean` the training captions' cleaning too, applied twice as officially."""
    return clean_caption(clean_caption(prompt)) if clean else prompt.lower().strip()


def clean_caption(caption: str) -> str:
    """One pass of caption cleaning: addresses, HTML, names, identifiers, file names and stray punctuation go."""
    caption = apply(RULES, unquote_plus(caption).strip().lower())
    if len(re.findall(r"[-_]", caption)) > 3:
        caption = re.sub(r"[-_]", " ", caption)  # dashes in place of blanks
    caption = apply(SECOND_RULES, html.unescape(html.unescape(caption)))
    return apply(EDGES, caption.strip()).strip()


def apply(rules: Sequence[tuple[str, str]], text: str) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def fit(ids: Sequence[int]) -> list[int]:
    """T5 token ids, end token last, as the 77 the models know: cut to 76 and the end token, or padded with 0."""
    ids = list(ids)
    if len(ids) > TOKENS:
        ids = [*ids[:TOKENS - 1], END]
    return ids + [PAD] * (TOKENS - len(ids))
