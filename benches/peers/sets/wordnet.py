"""Glosses and usage examples of WordNet 3.0, from its `data.*` files.

A line of such a file ends in ` | definition; definition; "example"; "example"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .source import Package

PACKAGES = [
    Package(
        "debian",
        "wordnet-base",
        "1:3.0-37",
        {
            "usr/share/wordnet/data.adj": "c89120dfc1f046ddff4a631bf9b7e9fa1a36b5e86565a23bf82dbe14f30b88a7",
            "usr/share/wordnet/data.adv": "444a63bf3955080ab7524f5079cfc07ff9bc682cb98bdb1db73b0fb9829f1139",
            "usr/share/wordnet/data.noun": "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2",
            "usr/share/wordnet/data.verb": "adcf43e35b581e8036d8b5a52d63d9cd3d3b4870b2720d3c03c799df44777bc2",
        },
    )
]

_EXAMPLE = re.compile(r'"([^"]+)"')


def texts(files: list[Path]) -> Iterator[str]:
    """Yields each definition, then its examples."""
    for path in files:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue  # the licence at the top
            _, bar, gloss = line.partition(" | ")
            if not bar:
                continue
            definition = _EXAMPLE.sub("", gloss).strip(" ;:,")
            if definition:
                yield definition
            yield from _EXAMPLE.findall(gloss)
