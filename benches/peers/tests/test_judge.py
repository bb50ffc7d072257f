"""What counts as right."""

from __future__ import annotations

import unittest

import numpy as np

from harness.judge import Judge


class Recall(unittest.TestCase):
    """Rows on a line: 1, 2, 2, 9, asked from 0 and 10."""

    def judge(self) -> Judge:
        base = np.array([[1], [2], [2], [9]], np.float32)
        queries = np.array([[0], [10]], np.float32)
        return Judge(base, queries, np.array([[0, 1, 2], [3, 1, 2]]), "l2", 2)

    def test_a_row_as_near_as_the_last_neighbour_is_right(self) -> None:
        self.assertEqual(self.judge().recall(np.array([[0, 2], [3, 2]])), 1.0)

    def test_wrong_and_missing_results_cost(self) -> None:
        self.assertEqual(self.judge().recall(np.array([[0, 3], [3, -1]])), 0.5)

    def test_fewer_queries_are_the_first_ones(self) -> None:
        self.assertEqual(self.judge().recall(np.array([[0, 1]])), 1.0)

    def test_length_does_not_matter_for_the_cosine(self) -> None:
        base = np.array([[5, 0], [1, 1], [2, 2]], np.float32)
        judge = Judge(base, np.array([[1, 1]], np.float32), np.array([[1]]), "cosine", 1)
        self.assertEqual(judge.recall(np.array([[2]])), 1.0)
        self.assertEqual(judge.recall(np.array([[0]])), 0.0)
