"""Exact neighbours agree with plain sorting, ties and zero rows included."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sets.exact import exact_neighbours
from sets.vector_files import read_ivecs, write_ivecs


def by_sorting(
    base: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], metric: str, k: int
) -> npt.NDArray[np.int32]:
    """Returns the same as `exact_neighbours`, with every score in f64."""
    rows, asked = base.astype(np.float64), queries.astype(np.float64)
    if metric == "cosine":
        lengths = np.linalg.norm(rows, axis=1)
        scores = asked @ rows.T / np.where(lengths == 0, 1, lengths)
    else:
        scores = -((asked[:, None] - rows[None]) ** 2).sum(axis=2)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int32)


class ExactNeighbours(unittest.TestCase):
    """Random rows of every metric."""

    def test_equals_sorting(self) -> None:
        random = np.random.default_rng(1)
        for metric in ("cosine", "l2"):
            for rows in (5, 300, 1_000):
                base = random.standard_normal((rows, 17)).astype(np.float32)
                queries = random.standard_normal((270, 17)).astype(np.float32)
                with self.subTest(metric=metric, rows=rows):
                    found = exact_neighbours(base, queries, metric, 10)
                    np.testing.assert_array_equal(found, by_sorting(base, queries, metric, 10))

    def test_differences_below_f32_are_found(self) -> None:
        # Far from the origin f32 products cannot tell these rows apart, so the certificate must fail.
        base = np.full((400, 8), 4096, np.float32)
        base[:, 0] += np.arange(400)[::-1] / 1024
        queries = np.full((3, 8), 4096, np.float32)
        found = exact_neighbours(base, queries, "l2", 5)
        np.testing.assert_array_equal(found, [[399, 398, 397, 396, 395]] * 3)

    def test_rows_of_zeros_score_zero(self) -> None:
        base = np.array([[0, 0], [-1, 0], [1, 0]], np.float32)
        found = exact_neighbours(base, np.array([[2, 0]], np.float32), "cosine", 3)
        np.testing.assert_array_equal(found, [[2, 0, 1]])

    def test_ivecs_come_back(self) -> None:
        rows = np.arange(12, dtype=np.int32).reshape(3, 4)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "truth.ivecs"
            write_ivecs(path, rows)
            np.testing.assert_array_equal(read_ivecs(path), rows)
            path.write_bytes(path.read_bytes()[:-4])
            with self.assertRaises(ValueError):
                read_ivecs(path)
