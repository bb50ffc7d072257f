"""Exact nearest neighbours by blocked products, with a certificate.

Scores of a block are computed in f32 by matrix product, which is fast and slightly wrong. The best
`k + SLACK` rows are scored again in f64 and sorted, equal scores by row. The answer is exact if no
row that was left out can have been good enough: its f32 score, plus the rounding of a dot product
(at most `dims * eps * |x| * |q|`), must stay below the k-th exact one. A query that fails this test
is scored against every row in f64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .progress import Progress
from .vector_files import Ids, Vectors

SLACK = 64
_BLOCK = 256
_Exact = npt.NDArray[np.float64]


def exact_neighbours(base: Vectors, queries: Vectors, metric: str, k: int) -> Ids:
    """Returns i32 [queries, k], best first, for `cosine` or `l2`."""
    scorer = _Scorer(np.ascontiguousarray(base, np.float32), metric)
    k = min(k, len(base))
    found = np.empty((len(queries), k), np.int32)
    progress = Progress("exact neighbours", len(queries), every=30)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        found[start : start + len(block)] = scorer.best(block, k)
        progress.step(start + len(block), start + len(block))
    return found


class _Scorer:
    """Scores rows so that more is better: the cosine, or the negated squared distance."""

    def __init__(self, base: Vectors, metric: str) -> None:
        if metric not in ("cosine", "l2"):
            raise ValueError(f"metric must be cosine or l2, found {metric}")
        self._cosine = metric == "cosine"
        self._base = base
        self._norms = np.sqrt(np.einsum("ij,ij->i", base, base, dtype=np.float64))
        if self._cosine:
            # A row of zeros has no direction; it scores 0 everywhere.
            self._norms[self._norms == 0] = 1
        self._inverse = (1 / self._norms).astype(np.float32) if self._cosine else None
        self._squares = (self._norms**2).astype(np.float32)

    def best(self, queries: Vectors, k: int) -> Ids:
        rough = self._rough(queries)
        kept = min(k + SLACK, len(self._base))
        near = np.argpartition(rough, len(self._base) - kept, axis=1)[:, -kept:]
        rows = np.empty((len(queries), k), np.int32)
        for i, query in enumerate(queries.astype(np.float64)):
            order, scores = self._sorted(query, near[i])
            worst_kept = rough[i, near[i]].min()
            if kept < len(self._base) and scores[k - 1] <= worst_kept + self._rounding(query):
                order, _ = self._sorted(query, np.arange(len(self._base)))
            rows[i] = order[:k]
        return rows

    def _rough(self, queries: Vectors) -> Vectors:
        dots = queries.astype(np.float32) @ self._base.T
        if self._inverse is not None:
            dots *= self._inverse
            return dots / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-30)
        # The query's own square shifts a whole row of scores, so it is left to `_sorted`.
        dots *= 2
        dots -= self._squares
        return dots

    def _sorted(self, query: _Exact, rows: npt.NDArray[np.intp]) -> tuple[Ids, _Exact]:
        """Returns `rows` best first, with scores on the scale of `_rough`."""
        vectors = self._base[rows].astype(np.float64)
        dots = vectors @ query
        if self._cosine:
            length = np.linalg.norm(query) or 1.0
            scores = dots / (self._norms[rows] * length)
        else:
            scores = 2 * dots - self._norms[rows] ** 2
        order = np.lexsort((rows, -scores))
        return rows[order].astype(np.int32), scores[order]

    def _rounding(self, query: _Exact) -> float:
        """Returns how far a rough score may lie from the exact one."""
        eps = float(np.finfo(np.float32).eps)
        dims = self._base.shape[1] + 4
        if self._cosine:
            return dims * eps
        largest = float(self._norms.max())
        return dims * eps * (2 * largest * float(np.linalg.norm(query)) + largest**2)
