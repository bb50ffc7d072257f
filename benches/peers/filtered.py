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
from harness import page_filters, rounds
from harness.bigrain import VARIANTS
from harness.bigrain_filtered import BigrainFiltered
from harness.contestant import Contestant
from harness.peer import Peer, Pythons, current_python
from harness.results import Results
from sets import filter_cases
from sets.catalog import NAMES, open_set
from sets.filter_cases import FilterCases
from sets.vector_set import VectorSet

LIMIT = 10
OURS = "bigrain-2-f32"
"""What `bigrain build` makes when nothing is said."""


def main() -> int:
    """Compares on the sets that were asked for."""
    options = parse()
    for name in () if options.render_only else NAMES if options.set == "all" else (options.set,):
        try:
            whole = open_set(options.cache, name)
        except FileNotFoundError:
            print(f"bench-filters: error: no set {name} yet: make bench-data", file=sys.stderr)
            return 1
        compare(whole, options)
    page_filters.write(options.out)
    print(f"bench-filters: {options.out / 'filters.md'}")
    return 0


def compare(whole: VectorSet, options: argparse.Namespace) -> None:
    """Runs every round of one set, keeping the results after each."""
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
    ready = rounds.prepare(contestants, results)
    try:
        rounds.run(ready, results, options.rounds, lambda results: results.save(kept))
    finally:
        for contestant in ready:
            contestant.close()


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
    wanted = options.engines
    return [one for one in ours + peers if not wanted or one.name in wanted]


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program to compare")
    parser.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    parser.add_argument("--set", choices=[*NAMES, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="index only the first rows of the set")
    parser.add_argument("--queries", type=int, default=1_000, help="ask the first queries")
    parser.add_argument("--engines", nargs="*", choices=[OURS, *FILTERED], help="only these take part")
    parser.add_argument("--resume", action="store_true", help="keep the rounds that are there")
    parser.add_argument("--render-only", action="store_true")
    parser.add_argument("--command", help="the command to name in the page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
