"""bigrain as a contestant of filtered searches: `bigrain eval --vectors --filters`, one process a round."""

from __future__ import annotations

from pathlib import Path

from sets.filter_cases import FilterCases
from sets.vector_set import VectorSet

from .bigrain import Bigrain, Variant
from .contestant import Point

TARGETS = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Target recalls swept for each case."""


class BigrainFiltered(Bigrain):
    """One variant on one set and its filter cases."""

    def __init__(
        self,
        variant: Variant,
        vectors: VectorSet,
        folder: Path,
        program: Path,
        limit: int,
        cases: FilterCases,
    ) -> None:
        super().__init__(variant, vectors, folder, program, limit)
        self._more_flags = ["--filters", "--filter-cases", str(cases.path)]
        self._cases = cases

    def sweep(self, first: list[Point] | None) -> list[Point]:
        """Measures every case at every target; what is slower at equal recall costs little."""
        told = self.evaluate("target", TARGETS)
        self._seen = told["build"]
        numbers = {(case.kind, case.share): number for number, case in enumerate(self._cases.cases)}
        return [
            Point(
                {"case": numbers[point["kind"], point["share"]], "target": point["value"]},
                point["recall"],
                point["queries_per_second"],
            )
            for point in told["points"]
        ]
