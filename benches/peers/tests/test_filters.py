"""Filter cases keep the share they say, and results are read case by case."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import numpy as np

from harness.by_case import cases_of, outcome, ratios
from harness.contestant import Entry, Facts, Point
from harness.results import Results
from sets import filter_cases
from sets.vector_set import write_set


class Cases(unittest.TestCase):
    """On 2,000 rows that lie along one direction."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        random = np.random.default_rng(1)
        places = random.permutation(2_000).astype(np.float32)
        base = np.stack([places, random.random(2_000, np.float32), np.ones(2_000, np.float32)], axis=1)
        queries = base[:40] + np.float32(0.25)
        folder = Path(self.folder.name)
        (folder / "set").mkdir()
        self.base, self.queries = base, queries
        self.set = write_set(
            folder / "set", name="line", title="a line", metric="l2", base=base, queries=queries,
            sources=[], notes={},
        )  # fmt: skip
        self.cases = filter_cases.prepare(self.set, folder, 10)

    def tearDown(self) -> None:
        self.folder.cleanup()

    def test_every_case_matches_as_many_rows_as_it_says(self) -> None:
        self.assertEqual(len(self.cases.cases), 27)
        for case in self.cases.cases:
            matches = self.cases.numbers[case.field] < case.end
            self.assertEqual(matches.sum(), case.matching)
            self.assertEqual(case.matching, max(1, round(case.share * 2_000)))
            truth = case.truth()
            self.assertEqual(truth.shape, (len(case.queries), min(10, case.matching)))
            self.assertTrue(matches[truth].all())

    def test_truth_is_the_nearest_of_what_matches(self) -> None:
        case = self.cases.cases[4]
        matches = np.flatnonzero(self.cases.numbers[case.field] < case.end)
        for query, truth in zip(case.queries, case.truth(), strict=True):
            apart = ((self.base[matches] - self.queries[query]) ** 2).sum(axis=1)
            self.assertEqual(set(matches[np.argsort(apart)[:10]]), set(truth.tolist()))

    def test_near_and_far_queries_lie_at_either_end(self) -> None:
        by_kind = {kind: [c for c in self.cases.cases if c.kind == kind] for kind in filter_cases.KINDS}
        near, far = (self.queries[by_kind[kind][0].queries, 0] for kind in ("near", "far"))
        matching = self.base[self.cases.numbers["c"] < 200, 0]
        middle = matching.mean()
        self.assertLess(abs(near - middle).max(), abs(far - middle).min())
        self.assertEqual(len(near), 4)


class Outcomes(unittest.TestCase):
    """What the page says of measured points."""

    @staticmethod
    def entry(name: str, points: list[tuple[int, float, float]]) -> Entry:
        facts = Facts(name, name, "1", "one batch", 1.0, 1.0, 0.0, 1.0, 0.0)
        named = [Point({"case": case, "ef": qps}, recall, qps) for case, recall, qps in points]
        return Entry(facts, [named, named])

    def test_the_fastest_that_reaches_the_goal_is_shown_or_the_nearest_to_it(self) -> None:
        ours = self.entry("bigrain-2-f32", [(0, 0.94, 900.0), (0, 0.96, 500.0), (1, 0.99, 80.0)])
        theirs = self.entry("hnswlib", [(0, 0.96, 250.0), (0, 0.99, 10.0), (1, 0.5, 40.0), (1, 0.9, 20.0)])
        done = outcome(theirs, ours, 0)
        self.assertEqual((done.point.qps, done.reached), (250.0, True))
        missed = outcome(theirs, ours, 1)
        self.assertEqual((missed.point.recall, missed.reached, missed.ratio), (0.9, False, None))
        cases = [{"kind": "near", "share": 0.1}, {"kind": "near", "share": 0.5}]
        results = Results({"cases": cases}, {}, "", "", "", 10, [ours, theirs])
        self.assertEqual([number for number, _ in cases_of(results, "near")], [1, 0])
        [ratio] = ratios(results, "hnswlib")
        self.assertGreater(ratio, 2.0)


if __name__ == "__main__":
    unittest.main()
