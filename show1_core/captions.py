"""What happens to a prompt before the tokenizer (numerics 2.1)."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from importlib.util import find_spec
from urllib.parse import unquote_plus

from .markup import text_of

TOKENS, PAD, END = 77, 0, 1
Rules = tuple[tuple[str, str], ...]

# (what is found, what stands in its place), one after the other; the cleaning that the text models' training captions
# went through: before HTML is taken away, after it, and after letters are mended
DOMAIN = r"\b[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
ADDRESSES: Rules = (
    (r"<person>", "person"),
    (rf"\bhttps?:(?:/{{1,3}}|[a-zA-Z0-9%])|{DOMAIN}", ""),
    (rf"\bwww:(?:/{{1,3}}|[a-zA-Z0-9%])|{DOMAIN}", ""),
)
MARKS: Rules = (
    (r"@\w+", ""),  # nicknames
    *((rf"[{script}]+", "") for script in (  # of East Asia
        "\u31c0-\u31ef", "\u31f0-\u31ff", "\u3200-\u32ff", "\u3300-\u33ff", "\u3400-\u4dbf", "\u4dc0-\u4dff",
        "\u4e00-\u9fff")),
    (r"[\u002d\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d]+",
     "-"),
    (r"[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", '"'),
    (r"[\u2018\u2019]", "'"),
    (r"&quot;?", ""),
    (r"&amp", ""),
    (r"\d{1,3}(?:\.\d{1,3}){3}", " "),  # network addresses
    (r"\d:\d\d\s+$", ""),  # a forum's article number
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),  # identifiers
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (r"\S+\.(?:png|jpe?g|bmp|webp|eps|pdf|apk|mp4)", ""),  # file names
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#\u00ae\u2022\u00a9\u2122&@\u00b7\u00ba\u00bd\u00be\u00bf\u00a1\u00a7~)(\]\[}{|\\/*]+", " "),  # punctuation of no meaning
    (r"\s+\.\s+", " "),
)
WORDS: Rules = (
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),  # letters and digits mixed are identifiers
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (r"\b(?:png|jpe?g|bmp|webp|eps|pdf|apk|mp4)(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*(?:[a-zA-Z]+\d+){2}[a-zA-Z\d]*\b", " "),
    (r"\b\d+\.?\d*[x\u0445\u00d7]\d+\.?\d*\b", ""),  # sizes
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
    # the ends
    (r"^[\"'](?s:(.+))[\"']$", r"\1"), (r"^['_,\-:;]", ""), (r"['_,\-:+]$", ""), (r"^\.\S+$", ""),
)


def preprocess(prompt: str, clean: bool) -> str:
    """Lower case without outer blanks; with `clean` the training captions' cleaning too, applied twice as officially."""
    return clean_caption(clean_caption(prompt)) if clean else prompt.lower().strip()


def clean_caption(caption: str) -> str:
    """One pass of caption cleaning: addresses, HTML, names, identifiers, file names and stray punctuation go.

    Ligatures, wide letters and broken encodings are mended where ftfy is installed (docs/captions.md).
    """
    caption = apply(ADDRESSES, unquote_plus(caption).strip().lower())
    caption = apply(MARKS, text_of(caption))
    if len(re.findall(r"[-_]", caption)) > 3:
        caption = re.sub(r"[-_]", " ", caption)  # dashes in place of blanks
    return apply(WORDS, html.unescape(html.unescape(mended(caption)))).strip()


def mended(text: str) -> str:
    """Letters as a reader would type them, by ftfy; as they are where it is not installed."""
    if find_spec("ftfy") is None:
        return text
    import ftfy

    return ftfy.fix_text(text)


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
