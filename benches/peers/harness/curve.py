"""Queries a second at a given recall, from measured points: between two, log(QPS) goes with recall."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from .contestant import Entry, Knob, Point

TARGETS = (0.90, 0.95, 0.99)


@dataclass(frozen=True)
class Reading:
    """What one round says of one target."""

    qps: float
    knob: Knob
    """The fastest setting measured that reaches the target."""
    above: bool
    """Whether even the fastest useful setting has more recall than the target, so nothing lies below."""


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarises at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def frontier(points: list[Point]) -> list[Point]:
    """Returns the points no other beats in both recall and speed, by growing recall."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.recall, p.qps), reverse=True):
        if not kept or point.qps > kept[-1].qps:
            kept.append(point)
    return kept[::-1]


def read(points: list[Point], target: float) -> Reading | None:
    """Returns queries a second at `target`, or None where no setting reaches it."""
    edge = frontier(points)
    for position, point in enumerate(edge):
        if point.recall < target:
            continue
        if position == 0:
            return Reading(point.qps, point.knob, above=point.recall > target)
        below = edge[position - 1]
        share = (target - below.recall) / (point.recall - below.recall)
        log = (1 - share) * math.log(below.qps) + share * math.log(point.qps)
        return Reading(math.exp(log), point.knob, above=False)
    return None


def qps(entry: Entry, target: float) -> tuple[Spread, Reading] | None:
    """Returns queries a second over the rounds, and a reading that shows the setting."""
    readings = [read(points, target) for points in entry.rounds]
    reached = [reading for reading in readings if reading is not None]
    if not reached or len(reached) < len(readings):
        return None
    return Spread.of([reading.qps for reading in reached]), reached[-1]


def ratio(ours: Entry, theirs: Entry, target: float) -> Spread | None:
    """Returns ours / theirs, taken within each round."""
    ratios = []
    for mine, other in zip(ours.rounds, theirs.rounds, strict=False):
        a, b = read(mine, target), read(other, target)
        if a is None or b is None:
            return None
        ratios.append(a.qps / b.qps)
    return Spread.of(ratios) if ratios else None


def medians(entry: Entry) -> list[Point]:
    """Returns each setting measured in every round, with its median speed."""
    by_knob: dict[tuple[tuple[str, float], ...], list[Point]] = {}
    for points in entry.rounds:
        for point in points:
            by_knob.setdefault(tuple(sorted(point.knob.items())), []).append(point)
    return [
        Point(group[0].knob, statistics.median(p.recall for p in group),
              statistics.median(p.qps for p in group))
        for group in by_knob.values()
        if len(group) == len(entry.rounds)
    ]  # fmt: skip
