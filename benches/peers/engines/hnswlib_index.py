"""hnswlib: HNSW over f32 rows. Queries come as one batch, on one thread."""

from __future__ import annotations

from pathlib import Path

import hnswlib
import numpy as np

from .engine import Engine, Ids, Knob, Memory, Vectors, grid
from .graph import CONSTRUCTION, DEGREE, WIDTHS


class HnswlibIndex(Engine):
    """The library's only index."""

    title = f"hnswlib (M {DEGREE}, ef_construction {CONSTRUCTION})"
    package = "hnswlib"
    how = "one batch"

    def build(self, base: Vectors, folder: Path) -> None:
        index = self._new()
        index.init_index(len(base), M=DEGREE, ef_construction=CONSTRUCTION, random_seed=1)
        index.set_num_threads(1)
        index.add_items(base, np.arange(len(base)), num_threads=1)
        index.save_index(str(folder / "index.hnswlib"))

    def open(self, folder: Path) -> None:
        self._index = self._new()
        self._index.load_index(str(folder / "index.hnswlib"))
        self._index.set_num_threads(1)
        self._bytes = (folder / "index.hnswlib").stat().st_size

    def memory(self) -> Memory:
        return Memory(self._bytes, 4 * self.space.rows * self.space.dims)

    def series(self) -> list[list[Knob]]:
        return [grid("ef", WIDTHS)]

    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        self._index.set_ef(int(knob["ef"]))
        rows, _ = self._index.knn_query(queries, k=limit, num_threads=1)
        return rows.astype(np.int64)

    def _new(self) -> hnswlib.Index:
        return hnswlib.Index("l2" if self.space.metric == "l2" else "ip", self.space.dims)
