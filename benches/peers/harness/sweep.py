"""Which settings are measured: all that may matter in the first round, the useful ones afterwards."""

from __future__ import annotations

from collections.abc import Callable

from .contestant import Knob, Point

ENOUGH = 0.997
"""A series ends at the first setting that reaches this recall."""
GAIN = 0.0005
"""A series ends where a more careful setting gains less than this."""
SLOWER = 0.75
"""A setting is dropped if another has as much recall and it is slower than this share of it."""
SATURATED = 0.005
"""Refinement is enough for some lists when more of it gains less recall than this."""


def explore(series: list[list[Knob]], measure: Callable[[Knob], Point]) -> list[Point]:
    """Measures each series from fast to careful, until it has nothing more to show."""
    points = []
    for knobs in series:
        last = 0.0
        for knob in knobs:
            point = measure(knob)
            points.append(point)
            if point.recall >= ENOUGH or (last > 0.5 and point.recall - last < GAIN):
                break
            last = point.recall
    return points


def useful(points: list[Point]) -> list[Knob]:
    """Returns the settings worth further rounds.

    These are the ones near the upper edge of queries a second against recall, and for each number of
    lists the least refinement that is enough for them, so that engines can be compared list for list.
    """
    kept = [point for point in points if _near_edge(point, points)]
    kept += [p for p in least_refined(points).values() if p not in kept]
    return [point.knob for point in kept]


def least_refined(points: list[Point]) -> dict[int, Point]:
    """Returns, for each number of lists, the fastest point whose refinement is enough."""
    by_lists: dict[int, list[Point]] = {}
    for point in points:
        lists = point.knob.get("nprobe", point.knob.get("probes"))
        if lists is not None:
            by_lists.setdefault(int(lists), []).append(point)
    enough = {}
    for lists, group in sorted(by_lists.items()):
        best = max(point.recall for point in group)
        enough[lists] = max(
            (point for point in group if point.recall >= best - SATURATED), key=lambda p: p.qps
        )
    return enough


def _near_edge(point: Point, points: list[Point]) -> bool:
    rivals = [other.qps for other in points if other.recall >= point.recall]
    return point.qps >= SLOWER * max(rivals)
