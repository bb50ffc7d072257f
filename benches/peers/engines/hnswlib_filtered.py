"""hnswlib with a filter, in the two ways it has.

It refuses a query that reached fewer rows than were asked for ("Cannot return the results in a contiguous
2D array"), and the whole batch with it. Such a batch is asked again query by query; a query that is
refused has found nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import Ids, Knob, Space, Vectors
from .filtered import FilteredEngine
from .hnswlib_index import HnswlibIndex


class HnswlibCallback(FilteredEngine, HnswlibIndex):
    """`knn_query(filter=...)`: a Python function is called for every row that could be a result."""

    title = f"{HnswlibIndex.title}, filter function in Python"
    how = "one batch; query by query where that is refused"

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self._matches = np.zeros(0, np.bool_)
        self._filter: Callable[[int], bool] | None = None

    def choose(self, field: str, end: int) -> None:
        self._matches = self.numbers[field] < end
        # A list answers a single question faster than an array does.
        self._filter = self._matches.tolist().__getitem__

    def search(self, queries: Vectors, limit: int, knob: Knob) -> Ids:
        self._index.set_ef(int(knob["ef"]))
        try:
            return self._ask(queries, limit)
        except RuntimeError:
            rows = np.full((len(queries), limit), -1, np.int64)
            for i in range(len(queries)):
                try:
                    rows[i] = self._ask(queries[i], limit)
                except RuntimeError:
                    continue
            return rows

    def _ask(self, queries: Vectors, limit: int) -> Ids:
        limit = min(limit, int(self._matches.sum()))
        rows, _ = self._index.knn_query(queries, k=limit, num_threads=1, filter=self._filter)
        return rows.astype(np.int64)


class HnswlibMarked(HnswlibCallback):
    """Rows that do not match are marked as deleted before the searches: the same walk, without Python."""

    title = f"{HnswlibIndex.title}, other rows marked as deleted"

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self._hidden = np.zeros(0, np.int64)

    def choose(self, field: str, end: int) -> None:
        for row in self._hidden:
            self._index.unmark_deleted(row)
        self._matches = self.numbers[field] < end
        self._hidden = np.flatnonzero(~self._matches)
        for row in self._hidden:
            self._index.mark_deleted(row)
