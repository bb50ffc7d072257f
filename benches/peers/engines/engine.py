"""What every engine does: build an index into a folder, open it, and search it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Ids = npt.NDArray[np.integer]
Knob = dict[str, float]
"""A setting of one search, by the names the library gives them."""


class Unavailable(Exception):
    """The engine cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Space:
    """What an engine is told about the rows it will hold."""

    rows: int
    dims: int
    metric: Literal["cosine", "l2"]

    @property
    def lists(self) -> int:
        """Returns how many lists an inverted file gets: near 4 times the root of the rows."""
        return max(1, round(4 * math.sqrt(self.rows)))


@dataclass(frozen=True)
class Memory:
    """What an index holds in memory, in bytes, by the engine's own account."""

    total: int
    rows: int
    """The part of `total` that is the f32 rows themselves."""


class Engine(ABC):
    """An index over rows 0..n, answering with row numbers."""

    package: ClassVar[str]
    """The name of the package it comes in."""
    title: str
    """How reports name it, its settings included."""
    how: str
    """How its queries are handed over, in a few words."""

    def __init__(self, space: Space) -> None:
        self.space = space

    @abstractmethod
    def build(self, base: Vectors, folder: Path) -> None:
        """Builds the index with one thread and leaves it in `folder`."""

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Loads what `build` left."""

    @abstractmethod
    def memory(self) -> Memory:
        """Returns what the opened index holds in memory."""

    @abstractmethod
    def series(self) -> list[list[Knob]]:
        """Returns settings to sweep; within a series they go from fast to careful."""

    @abstractmethod
    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        """Returns [queries, limit] rows, best first, with one thread; -1 where there are fewer."""


def grid(name: str, values: Sequence[float], **fixed: float) -> list[Knob]:
    """Returns a series in which one setting takes `values` and the others stay."""
    return [{**fixed, name: value} for value in values]


def file_bytes(folder: Path) -> int:
    """Returns the size of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
