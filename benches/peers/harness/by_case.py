"""Results of filtered searches, case by case."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from .contestant import Entry, Point
from .curve import medians, ratio
from .results import Results

GOAL = 0.95
"""The recall that is to be reached in every case."""


@dataclass(frozen=True)
class Outcome:
    """What an engine did in one case."""

    point: Point
    """The fastest setting that reached the goal, or the one that came nearest to it; medians over rounds."""
    reached: bool
    ratio: float | None
    """Our queries a second over theirs, both at the goal, within rounds; None where one did not reach it."""


def of_case(entry: Entry, case: int) -> Entry:
    """Returns an engine's points of one case."""
    return Entry(entry.facts, [[p for p in points if p.knob["case"] == case] for points in entry.rounds])


def outcome(entry: Entry, ours: Entry | None, case: int) -> Outcome:
    """Returns what an engine did in one case, beside ours."""
    entry = of_case(entry, case)
    points = medians(entry)
    good = [point for point in points if point.recall >= GOAL]
    if not good:
        # Of settings that find as much, the fastest.
        best = max(points, key=lambda point: (point.recall, point.qps))
        return Outcome(best, reached=False, ratio=None)
    best = max(good, key=lambda point: point.qps)
    times = None
    if ours is not None and ours.facts.name != entry.facts.name:
        spread = ratio(of_case(ours, case), entry, GOAL)
        times = None if spread is None else spread.median
    return Outcome(best, reached=True, ratio=times)


def our_entry(results: Results) -> Entry | None:
    """Returns the entry of ours, if it took part."""
    return next((e for e in results.entries if e.facts.name.startswith("bigrain")), None)


def cases_of(results: Results, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """Returns the numbers and descriptions of the cases of a kind, the most rows first."""
    cases = enumerate(results.set["cases"])
    return sorted(((n, c) for n, c in cases if c["kind"] == kind), key=lambda one: -one[1]["share"])


def ratios(results: Results, name: str) -> list[float]:
    """Returns our queries a second over those of an engine in every case where both reach the goal."""
    entry, ours = results.entry(name), our_entry(results)
    if entry is None or ours is None:
        return []
    found = (outcome(entry, ours, number).ratio for number in range(len(results.set["cases"])))
    return sorted(value for value in found if value is not None)


def middle(values: list[float]) -> float:
    """Returns the median of at least one value."""
    return statistics.median(values)
