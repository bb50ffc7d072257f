"""Readings between, beyond and on measured points; which settings are kept."""

from __future__ import annotations

import unittest

from harness.contestant import Entry, Facts, Knob, Point
from harness.curve import frontier, qps, ratio, read
from harness.sweep import explore, least_refined, useful


def points(*pairs: tuple[float, float]) -> list[Point]:
    """Returns points of (recall, queries a second); the knob is the place in the list."""
    return [Point({"ef": float(i)}, recall, speed) for i, (recall, speed) in enumerate(pairs)]


def entry(*rounds: list[Point]) -> Entry:
    """Returns an entry that has nothing but rounds."""
    return Entry(Facts("x", "x", "1", "one batch", 1.0, None, 0.0, 0.0, 0.0), list(rounds))


class Curve(unittest.TestCase):
    """`read`, `qps` and `ratio`."""

    def test_beaten_points_are_not_on_the_frontier(self) -> None:
        edge = frontier(points((0.8, 100), (0.7, 90), (0.9, 50), (0.9, 40)))
        self.assertEqual([(p.recall, p.qps) for p in edge], [(0.8, 100), (0.9, 50)])

    def test_half_way_in_recall_is_the_geometric_mean(self) -> None:
        reading = read(points((0.8, 1000), (1.0, 10)), 0.9)
        assert reading is not None
        self.assertAlmostEqual(reading.qps, 100)
        self.assertEqual((reading.knob, reading.above), ({"ef": 1.0}, False))

    def test_a_target_below_every_point_is_read_from_the_fastest(self) -> None:
        reading = read(points((0.97, 500), (0.99, 50)), 0.9)
        assert reading is not None
        self.assertEqual((reading.qps, reading.above), (500, True))

    def test_a_target_above_every_point_is_not_reached(self) -> None:
        self.assertIsNone(read(points((0.7, 10), (0.8, 5)), 0.9))
        self.assertIsNone(qps(entry(points((0.8, 5))), 0.9))

    def test_ratios_are_taken_within_rounds(self) -> None:
        ours = entry(points((0.9, 100)), points((0.9, 10)))
        theirs = entry(points((0.9, 50)), points((0.9, 5)))
        spread = ratio(ours, theirs, 0.9)
        assert spread is not None
        self.assertEqual((spread.low, spread.median, spread.high), (2, 2, 2))


class Sweep(unittest.TestCase):
    """`explore`, `useful` and `least_refined`."""

    def test_a_series_ends_where_recall_is_enough_or_stands_still(self) -> None:
        recalls = {1.0: 0.6, 2.0: 0.9, 3.0: 0.998, 4.0: 1.0, 5.0: 0.7, 6.0: 0.7, 7.0: 0.99}

        def measure(knob: Knob) -> Point:
            return Point(knob, recalls[knob["ef"]], 1.0)

        series = [[{"ef": float(n)} for n in part] for part in ((1, 2, 3, 4), (5, 6, 7))]
        asked = [point.knob["ef"] for point in explore(series, measure)]
        self.assertEqual(asked, [1, 2, 3, 5, 6])

    def test_for_each_number_of_lists_the_fastest_sufficient_refinement_is_kept(self) -> None:
        found = [
            Point({"nprobe": 8.0, "k_factor_rf": refined}, recall, speed)
            for refined, recall, speed in ((1.0, 0.5, 900), (4.0, 0.879, 500), (16.0, 0.88, 100))
        ]
        self.assertEqual(least_refined(found)[8].knob["k_factor_rf"], 4)
        fast = Point({"nprobe": 1.0, "k_factor_rf": 64.0}, 0.95, 5000)
        kept = useful([*found, fast])
        self.assertIn({"nprobe": 8.0, "k_factor_rf": 4.0}, kept)
        self.assertNotIn({"nprobe": 8.0, "k_factor_rf": 16.0}, kept)
