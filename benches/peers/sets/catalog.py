"""The sets by name, and the folder of the cache where each lies."""

from __future__ import annotations

from pathlib import Path

from . import fashion, glove, sentences, wide
from .encoder import Encoder
from .vector_set import VectorSet

NAMES = ("glove", "fashion", "sentences", "wide")


def open_set(cache: Path, name: str) -> VectorSet:
    """Opens a set that is there. Raises `FileNotFoundError` where it is not."""
    return VectorSet.open(_folder(cache, name))


def prepare(cache: Path, name: str, encoder: Encoder) -> VectorSet:
    """Opens a set, making it first where it is not there or not complete."""
    folder = _folder(cache, name)
    if (folder / "set.json").is_file():
        return VectorSet.open(folder)
    sources = cache / "bench-data" / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    if name == "glove":
        return glove.build(sources, folder)
    if name == "fashion":
        return fashion.build(sources, folder)
    if name == "wide":
        return wide.build(sources, folder)
    return sentences.build(sources, folder, encoder)


def _folder(cache: Path, name: str) -> Path:
    if name not in NAMES:
        raise ValueError(f"set must be one of {', '.join(NAMES)}, found {name}")
    return cache / "bench-data" / name
