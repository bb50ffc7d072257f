#!/usr/bin/env python3
"""Runs filtered searches of bigrain and its peers in interleaved rounds: `make bench-filters`.

Same vectors, same filters, same truth (`sets/filter_cases.py`). Writes docs/benchmarks/filters.md, and for
each set the figures (JSON) and a picture beside it. `--render-only` writes the page and the pictures again
from the figures that are there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.catalog import FILTERED
from harness import command, page_filters
from harness.bigrain import VARIANTS
from harness.bigrain_filtered import BigrainFiltered
from harness.contestant import Contestant
from harness.peer import Peer, Pythons, current_python
from harness.results import Results
from sets import filter_cases
from sets.filter_cases import FilterCases
from sets.vector_set import VectorSet

LIMIT = 10
OURS = "bigrain-2-f32"
"""What `bigrain build` makes when nothing is said."""


def main() -> int:
    """Compares on the sets that were asked for."""
    options = command.parser(__doc__, [OURS, *FILTERED], count=3, queries=1_000).parse_args()
    if not command.each_set("bench-filters", options, compare):
        return 1
    page_filters.write(options.out)
    print(f"bench-filters: {options.out / 'filters.md'}")
    return 0


def compare(whole: VectorSet, options: argparse.Namespace) -> None:
    """Runs every round of one set."""
    work = options.cache / "bench-peers"
    vectors = whole.part(work / "sets", options.rows, options.queries)
    cases = filter_cases.prepare(vectors, work / "filters", LIMIT)
    kept = options.out / "filters" / f"{vectors.name}.json"
    contestants = everyone(vectors, cases, work / f"filtered-{vectors.name}-{vectors.rows}", options)
    results = Results.opened(kept, vectors, options, LIMIT)
    results.set["cases"] = [
        {"kind": case.kind, "share": case.share, "matching": case.matching, "queries": len(case.queries)}
        for case in cases.cases
    ]
    command.run_rounds(contestants, results, options.rounds, kept)


def everyone(
    vectors: VectorSet, cases: FilterCases, folder: Path, options: argparse.Namespace
) -> list[Contestant]:
    """Returns the contestants that were asked for; ours first."""
    ours: list[Contestant] = [
        BigrainFiltered(variant, vectors, folder, options.bigrain, LIMIT, cases)
        for variant in VARIANTS
        if variant.name == OURS
    ]
    pythons = Pythons(current_python(), None)
    peers: list[Contestant] = [Peer(name, vectors, folder, pythons, LIMIT, cases) for name in FILTERED]
    return command.wanted(ours + peers, options)


if __name__ == "__main__":
    sys.exit(main())
