"""Decides which results are right.

A result counts if it is as near as the last true neighbour, whether or not the truth names it: rows
that are equal are equally good. `bigrain eval` judges in the same way.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engines.engine import Ids, Vectors


class Judge:
    """Knows the queries, the rows, and how near the last true neighbour of each query is."""

    def __init__(self, base: Vectors, queries: Vectors, truth: Ids, metric: str, limit: int) -> None:
        self._base, self._queries = base, queries.astype(np.float64)
        self._cosine = metric == "cosine"
        self._limit = min(limit, truth.shape[1])
        self._farthest = self._nearness(truth[:, : self._limit]).min(axis=1, keepdims=True)

    def recall(self, found: Ids) -> float:
        """Returns the mean share of right results among the first `limit`; -1 is no result.

        Where `found` holds fewer queries than there are, it is about the first ones.
        """
        found = found[:, : self._limit]
        near = self._nearness(np.maximum(found, 0))
        right = (near >= self._farthest[: len(found)]) & (found >= 0)
        return float(right.sum() / (len(found) * self._limit))

    def _nearness(self, rows: Ids) -> npt.NDArray[np.float64]:
        """Returns f64 [queries, results], more is nearer; equal rows give equal numbers."""
        near = np.empty(rows.shape, np.float64)
        for column in range(rows.shape[1]):
            vectors = self._base[rows[:, column]].astype(np.float64)
            queries = self._queries[: len(rows)]
            if self._cosine:
                dots = np.einsum("ij,ij->i", vectors, queries)
                squares = np.einsum("ij,ij->i", vectors, vectors)
                near[:, column] = dots / np.sqrt(np.maximum(squares, 1e-300))
            else:
                apart = vectors - queries
                near[:, column] = -np.einsum("ij,ij->i", apart, apart)
        return near
