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
from harness import command, page
from harness.bigrain import VARIANTS, Bigrain
from harness.contestant import Contestant
from harness.peer import Peer, Pythons, current_python
from harness.results import Results
from sets.vector_set import VectorSet

LIMIT = 10


def main() -> int:
    """Compares on the sets that were asked for."""
    options = parse()
    if not command.each_set("bench-peers", options, compare):
        return 1
    page.write(options.out)
    print(f"bench-peers: {options.out / 'peers.md'}")
    return 0


def compare(whole: VectorSet, options: argparse.Namespace) -> None:
    """Runs every round of one set."""
    vectors = whole.part(options.cache / "bench-peers" / "sets", options.rows, options.queries)
    folder = options.cache / "bench-peers" / f"{vectors.name}-{vectors.rows}"
    kept = options.out / "peers" / f"{vectors.name}.json"
    contestants = everyone(vectors, folder, options)
    results = Results.opened(kept, vectors, options, LIMIT)
    command.run_rounds(contestants, results, options.rounds, kept)


def everyone(vectors: VectorSet, folder: Path, options: argparse.Namespace) -> list[Contestant]:
    """Returns the contestants that were asked for; ours first."""
    pythons = Pythons(current_python(), options.old_python)
    ours: list[Contestant] = [
        Bigrain(variant, vectors, folder, options.bigrain, LIMIT) for variant in VARIANTS
    ]
    peers: list[Contestant] = [Peer(name, vectors, folder, pythons, LIMIT) for name in MAKERS]
    return command.wanted(ours + peers, options)


def parse() -> argparse.Namespace:
    """Reads the command line."""
    names = [variant.name for variant in VARIANTS] + list(MAKERS)
    parser = command.parser(__doc__, names, count=5, queries=2_000)
    parser.add_argument("--old-python", type=Path, help="a Python with numpy 1.25, for DiskANN")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
