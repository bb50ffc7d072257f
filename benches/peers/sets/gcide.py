"""Definitions of the GNU Collaborative International Dictionary of English (Webster 1913 and later).

The DICT format: an index of `headword TAB offset TAB length` lines with numbers in base 64, and a
gzip-compatible file of entries. An entry is

    Tergant \\Ter"gant\\, a. (Her.)
       Showing the back; as, the eagle tergant. [Written also {tergiant}.]
       [1913 Webster]

Pronunciation, etymology and the tags in brackets are dropped: they say little to a sentence encoder.
"""

from __future__ import annotations

import gzip
import re
import string
from collections.abc import Iterator
from pathlib import Path

from .source import Package

PACKAGES = [
    Package(
        "debian",
        "dict-gcide",
        "0.48.5+nmu2",
        {
            "usr/share/dictd/gcide.index": "e78de035e075f16dd686dd87a4dbf5b4525130d0550968a02d929f5ddf63a6a1",
            "usr/share/dictd/gcide.dict.dz": "3e6b2cdcbc1b3664c2f1466e3c8e44012e815c4c67fa83fa61f39777cd6e8517",
        },
    )
]

_DIGITS = {
    digit: value
    for value, digit in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")
}
_NEXT_HEADWORD = re.compile(r"(\[[^\[\]]*(?:Webster|PJC|WordNet)[^\[\]]*\])[^\[\]\n]*\s*\Z")
_SPECIAL_LETTER = re.compile(r"\[\W?([a-z]{1,2})\W?\]")
_PRONOUNCED = re.compile(r"\\[^\\]*\\|\([^()]*[\"*?][^()]*\)")
_BRACKETED = re.compile(r"\[[^\[\]]*\]")


def texts(files: list[Path]) -> Iterator[str]:
    """Yields each entry as `headword: definition`, in the order of the dictionary."""
    index, entries = files
    body = gzip.decompress(entries.read_bytes())
    for start, length in _spans(index):
        entry = body[start : start + length].decode("utf-8", "replace")
        text = _clean(entry)
        if text:
            yield text


def _spans(index: Path) -> list[tuple[int, int]]:
    """Returns where entries lie; several headwords may share one."""
    spans = set()
    for line in index.read_text(encoding="utf-8").splitlines():
        headword, start, length = line.split("\t")[:3]
        if not headword.startswith("00-database"):
            spans.add((_number(start), _number(length)))
    return sorted(spans)


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _DIGITS[digit]
    return value


def _clean(entry: str) -> str:
    headword, _, rest = entry.partition("\\")
    if not rest or "\n" in headword:
        return ""
    rest = _SPECIAL_LETTER.sub(r"\1", _NEXT_HEADWORD.sub(r"\1", rest))
    rest = _PRONOUNCED.sub(" ", "\\" + rest)
    while (shorter := _BRACKETED.sub(" ", rest)) != rest:
        rest = shorter
    rest = re.sub(r"[{}_]", "", rest)
    words = " ".join(rest.split()).lstrip(",;. ")
    return f"{headword.strip()}: {words}" if words else ""
