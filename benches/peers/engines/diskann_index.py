"""DiskANN's Vamana graph in memory (diskannpy). Queries come as one batch, on one thread.

The package wants an old numpy, so it lives in a virtual environment of its own.
"""

from __future__ import annotations

from pathlib import Path

import diskannpy
import numpy as np

from .engine import Engine, Ids, Knob, Memory, Space, Vectors, file_bytes, grid
from .graph import CONSTRUCTION, DEGREE, WIDTHS


class DiskannIndex(Engine):
    """A static index in memory, with as many links a node as the lowest layer of the HNSW graphs."""

    title = f"DiskANN in memory (degree {2 * DEGREE}, complexity {CONSTRUCTION})"
    package = "diskannpy"
    how = "one batch"

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        # With rows of length 1 the order by distance is the order by cosine.
        self._metric = "l2"

    def build(self, base: Vectors, folder: Path) -> None:
        diskannpy.build_memory_index(
            data=np.ascontiguousarray(base),
            distance_metric=self._metric,
            index_directory=str(folder),
            complexity=CONSTRUCTION,
            graph_degree=2 * DEGREE,
            num_threads=1,
            alpha=1.2,
            use_pq_build=False,
            num_pq_bytes=0,
            use_opq=False,
        )

    def open(self, folder: Path) -> None:
        self._index = diskannpy.StaticMemoryIndex(
            index_directory=str(folder), num_threads=1, initial_search_complexity=max(WIDTHS)
        )
        # Beside the index lies the copy of the rows it was built from.
        copies = sum(p.stat().st_size for p in folder.iterdir() if "vectors" in p.name)
        self._bytes = file_bytes(folder) - copies

    def memory(self) -> Memory:
        return Memory(self._bytes, 4 * self.space.rows * self.space.dims)

    def series(self) -> list[list[Knob]]:
        return [grid("complexity", WIDTHS)]

    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        found = self._index.batch_search(
            queries, k_neighbors=limit, complexity=int(knob["complexity"]), num_threads=1
        )
        return found.identifiers.astype(np.int64)
