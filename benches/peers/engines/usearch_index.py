"""usearch: HNSW over f32 rows, loaded into memory or viewed on disk. One batch, one thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from usearch.index import Index

from .engine import Engine, Ids, Knob, Memory, Vectors, grid
from .graph import CONSTRUCTION, DEGREE, WIDTHS


class UsearchIndex(Engine):
    """The library's index at full precision."""

    title = f"usearch (connectivity {DEGREE}, expansion_add {CONSTRUCTION})"
    package = "usearch"
    how = "one batch"

    def build(self, base: Vectors, folder: Path) -> None:
        index = Index(
            ndim=self.space.dims,
            metric="l2sq" if self.space.metric == "l2" else "ip",
            dtype="f32",
            connectivity=DEGREE,
            expansion_add=CONSTRUCTION,
        )
        index.add(np.arange(len(base), dtype=np.uint64), base, threads=1)
        index.save(str(folder / "index.usearch"))

    def open(self, folder: Path, view: bool = False) -> None:
        """Loads the index, or maps it without reading it where `view` is set."""
        self._index = Index.restore(str(folder / "index.usearch"), view=view)
        if self._index is None:
            raise OSError(f"{folder}: expected an index of usearch, found none")

    def memory(self) -> Memory:
        # `memory_usage` counts what the allocator has reserved too, about twice what is used.
        return Memory(self._index.serialized_length, 4 * self.space.rows * self.space.dims)

    def series(self) -> list[list[Knob]]:
        return [grid("expansion_search", WIDTHS)]

    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        self._index.expansion_search = int(knob["expansion_search"])
        found = self._index.search(queries, limit, threads=1)
        return np.asarray(found.keys).reshape(len(queries), -1).astype(np.int64)
