"""FAISS: inverted files with flat rows, product or RaBitQ codes, and HNSW, by its factory strings.

Codes are refined with the f32 rows (`RFlat`), which FAISS keeps in memory; the report counts them.
Queries come as one batch, on one thread.
"""

from __future__ import annotations

from pathlib import Path

import faiss

from .engine import Engine, Ids, Knob, Memory, Space, Unavailable, Vectors, grid
from .graph import CONSTRUCTION, DEGREE, WIDTHS

_PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_REFINED = (1, 2, 4, 8, 16, 32, 64)
"""Candidates refined, as multiples of the limit."""


class FaissIndex(Engine):
    """An index made by a factory string."""

    package = "faiss-cpu"
    how = "one batch"

    def __init__(self, space: Space, factory: str, title: str) -> None:
        super().__init__(space)
        faiss.omp_set_num_threads(1)
        self._factory = factory
        self.title = f"FAISS {title}"
        self._bytes = 0

    def build(self, base: Vectors, folder: Path) -> None:
        metric = faiss.METRIC_L2 if self.space.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(self.space.dims, self._factory, metric)
        if "HNSW" in self._factory:
            index.hnsw.efConstruction = CONSTRUCTION
        index.train(base)
        index.add(base)
        faiss.write_index(index, str(folder / "index.faiss"))

    def open(self, folder: Path) -> None:
        self._index = faiss.read_index(str(folder / "index.faiss"))
        # What is written is what is held: FAISS serialises its arrays as they lie in memory.
        self._bytes = (folder / "index.faiss").stat().st_size

    def memory(self) -> Memory:
        # Every one of these holds the rows once: in lists, beside the graph, or for refining.
        return Memory(self._bytes, 4 * self.space.rows * self.space.dims)

    def series(self) -> list[list[Knob]]:
        if "HNSW" in self._factory:
            return [grid("efSearch", WIDTHS)]
        probes = [n for n in _PROBES if n <= self.space.lists]
        if "RFlat" in self._factory:
            return [grid("nprobe", probes, k_factor_rf=refined) for refined in _REFINED]
        return [grid("nprobe", probes)]

    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        for name, value in knob.items():
            faiss.ParameterSpace().set_index_parameter(self._index, name, value)
        _, rows = self._index.search(queries, limit)
        return rows


def ivf_flat(space: Space) -> Engine:
    """Lists of f32 rows."""
    return FaissIndex(space, f"IVF{space.lists},Flat", f"IVF{space.lists}, flat")


def ivf_pq(space: Space, levels: int) -> Engine:
    """Lists of 4-bit product codes, scanned in registers, refined.

    As many code bytes as our planes of `levels` bits a dimension: dims * levels / 4 sub-quantizers of
    4 bits, rounded up to a divisor of the dimensions.
    """
    parts = _sub_quantizers(space.dims, levels)
    if levels > 1 and parts == _sub_quantizers(space.dims, levels - 1):
        raise Unavailable(f"the same as with fewer levels: {parts} sub-quantizers")
    return FaissIndex(
        space,
        f"IVF{space.lists},PQ{parts}x4fs,RFlat",
        f"IVF{space.lists}, PQ{parts}x4 fastscan ({parts / 2:g} B), refined",
    )


def _sub_quantizers(dims: int, levels: int) -> int:
    return next(m for m in range(-(-dims * levels // 4), dims + 1) if dims % m == 0)


def ivf_rabitq(space: Space, levels: int) -> Engine:
    """Lists of RaBitQ codes of `levels` bits a dimension, randomly rotated, scanned in registers, refined."""
    bits = "" if levels == 1 else str(levels)
    return FaissIndex(
        space,
        f"RR{space.dims},IVF{space.lists},RaBitQfs{bits},RFlat",
        f"IVF{space.lists}, RaBitQ{levels} fastscan, refined",
    )


def hnsw(space: Space) -> Engine:
    """A graph over f32 rows."""
    return FaissIndex(space, f"HNSW{DEGREE},Flat", f"HNSW (M {DEGREE}, efConstruction {CONSTRUCTION})")
