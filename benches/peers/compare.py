#!/usr/bin/env python3
"""Runs bigrain and its peers on the same vectors, in interleaved rounds: `make bench-peers`.

Writes docs/benchmarks/peers.md, and for each set the figures (JSON) and a picture beside it.
`--render-only` writes the page and the pictures again from the figures that are there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.catalog import MAKERS
from harness import page, rounds
from harness.bigrain import VARIANTS, Bigrain
from harness.contestant import Contestant
from harness.peer import Peer, Pythons, current_python
from harness.results import Results
from sets.catalog import NAMES, open_set
from sets.vector_set import VectorSet

LIMIT = 10


def main() -> int:
    """Compares on the sets that were asked for."""
    options = parse()
    names = NAMES if options.set == "all" else (options.set,)
    if not options.render_only:
        for name in names:
            try:
                whole = open_set(options.cache, name)
            except FileNotFoundError:
                print(f"bench-peers: error: no set {name} yet: make bench-data", file=sys.stderr)
                return 1
            compare(whole, options)
    page.write(options.out)
    print(f"bench-peers: {options.out / 'peers.md'}")
    return 0


def compare(whole: VectorSet, options: argparse.Namespace) -> None:
    """Runs every round of one set, keeping the results after each."""
    vectors = whole.part(options.cache / "bench-peers" / "sets", options.rows, options.queries)
    folder = options.cache / "bench-peers" / f"{vectors.name}-{vectors.rows}"
    kept = options.out / "peers" / f"{vectors.name}.json"
    contestants = everyone(vectors, folder, options)
    results = Results.opened(kept, vectors, options, LIMIT)
    ready = rounds.prepare(contestants, results)
    try:
        rounds.run(ready, results, options.rounds, lambda results: results.save(kept))
    finally:
        for contestant in ready:
            contestant.close()


def everyone(vectors: VectorSet, folder: Path, options: argparse.Namespace) -> list[Contestant]:
    """Returns the contestants that were asked for; ours first."""
    pythons = Pythons(current_python(), options.old_python)
    ours: list[Contestant] = [
        Bigrain(variant, vectors, folder, options.bigrain, LIMIT) for variant in VARIANTS
    ]
    peers: list[Contestant] = [Peer(name, vectors, folder, pythons, LIMIT) for name in MAKERS]
    wanted = options.engines
    return [one for one in ours + peers if not wanted or one.name in wanted]


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program to compare")
    parser.add_argument("--old-python", type=Path, help="a Python with numpy 1.25, for DiskANN")
    parser.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    parser.add_argument("--set", choices=[*NAMES, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="index only the first rows of the set")
    parser.add_argument("--queries", type=int, default=2_000, help="ask the first queries")
    names = [variant.name for variant in VARIANTS] + list(MAKERS)
    parser.add_argument("--engines", nargs="*", choices=names, help="only these take part")
    parser.add_argument("--resume", action="store_true", help="keep the rounds that are there")
    parser.add_argument("--render-only", action="store_true")
    parser.add_argument("--command", help="the command to name in the page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
