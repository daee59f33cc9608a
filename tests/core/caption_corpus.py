"""Captions as they are found on the web, put together from a random stream."""

from __future__ import annotations

import random

SUBJECTS = (
    "a red fox", "two Dogs playing chess", "an old man's hat", "Blick \u00fcber M\u00fcnchen",
    "\u00e9l\u00e8ve \u00e0 v\u00e9lo",
    "a cat\u732b\u304b\u308f\u3044\u3044", "\u043a\u0440\u0430\u0441\u043d\u044b\u0439 \u0448\u0430\u0440", "a   wide\tblank",
    "x", "\U0001f98a in snow \u2764\ufe0f", "the person <person> smiles",
    "\u201cquoted\u201d \u2018words\u2019 \u00abhere\u00bb",
    "well\u2014known \u2013 places", "one-two_three-four_five", "Price: 5,99 / 7.50", "a.b,c/d e", "... wait ... what",
    "\u201c\u201d'' \"\"", "caf\u0065\u0301 na\u00efve", "\u4e00\u9fff\u3200\u33ff\u3400\u31f0", "sch\u00c3\u00b6n",
    "\uff26\uff2f\uff38", "\ufb01nal cut", "\u3000wide \u301c dash\u3001")
MARKUP = ("<b>bold</b>", "<br/>", "<a href='http://x.com/y'>link</a>", "&amp; more", "&quot;said&quot;", "&lt;tag&gt;",
          "&nbsp;",
          "&#39;s", "&#x41;", "<!-- comment -->", "<script>var a=1;</script>", "a < b > c", "<unclosed", "</p>",
          "<style>p{}</style>",
          "&unknown; &copy 2020", "<img src=a.png alt='x'>", "&amp;amp;", "<3 hearts", "AT&T", "&eacute;t&eacute;")
ADDRESSES = ("https://example.com/cat.html", "http://www.site.org", "www.foo.net/bar-baz/", "bar.co.uk", "me@mail.com",
             "ftp.x.edu",
             "HTTP://UPPER.COM", "see site.community now", "https:abc", "192.168.10.255", "photo by @some_one",
             "www:abc", "a.it.")
NUMBERS = ("#12", "#1234", "#123456", "1234567", "jc6640", "jc6640vc", "6640vc231", "j2d1a2a", "1920x1080", "3.5\u04454",
           "10×15 cm",
           "page 17", "4:20 ", "12:30", "2:45\n", "IMG_0001.jpg", "movie.mp4", "file.pdfs", "png images", "JPG image",
           "mp3", "b2b",
           "007", "1,000,000", "v2.0")
WORDS = ("free shipping", "worldwide free shipping", "free download", "download free", "click for more", "click on image now",
         "***SALE***", "~~~", "(c) 2019 | all rights", "[photo]", "{x}", "\\n new", "a+b+c", "100%25", "%20", "tab\\tz",
         "#tag", "½ cup",
         " . ", " : ", "end:", "-start", "_", "'single'", "!!!", "?!", ";", "+")


def captions(count: int, seed: int = 0) -> list[str]:
    """So many captions, each of one to six pieces."""
    rng = random.Random(seed)
    pieces = (SUBJECTS, MARKUP, ADDRESSES, NUMBERS, WORDS)
    return [rng.choice((" ", " ", " ", ", ", "", "-")).join(
        rng.choice(pieces[0] if not place else rng.choice(pieces)) for place in range(rng.randint(1, 6))) for _ in range(count)]
