"""usearch over a mapped index: `python -m harness.cold_worker`.

Searches single queries, each setting for a limited time, and prints one JSON line for each: the rows
found and the nanoseconds each query took. When pages have to come from the disk a careful setting may
take a second for a query, so the first queries stand for all where time runs out.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

from engines.engine import Space
from engines.usearch_index import UsearchIndex
from harness.worker import scaled
from sets.vector_set import VectorSet

WARM_UP = 64
"""Queries searched at each setting before the clock starts, unless that takes too long."""


def main() -> int:
    """Searches at each width that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--own-memory", action="store_true", help="only say what Python takes")
    parser.add_argument("--limit", type=int, default=10)
    parser.add_argument("--widths", type=int, nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=20, help="the most a setting may take")
    options = parser.parse_args()
    vectors = VectorSet.open(options.set)
    queries = scaled(vectors.query_rows(), vectors)
    engine = UsearchIndex(Space(vectors.rows, vectors.dims, vectors.metric))
    if options.own_memory:
        print(resident_bytes())
        return 0
    engine.open(options.index, view=True)
    for width in options.widths:
        knob = {"expansion_search": float(width)}
        enough = time.perf_counter() + options.seconds / 3
        for query in queries[:WARM_UP]:
            engine.search(query[None], options.limit, knob)
            if time.perf_counter() > enough:
                break
        times: list[int] = []
        found: list[list[int]] = []
        while len(found) < len(queries) and sum(times) < 1e9 * options.seconds:
            query = queries[len(found)]
            start = time.perf_counter_ns()
            rows = engine.search(query[None], options.limit, knob)
            times.append(time.perf_counter_ns() - start)
            found.append(rows[0].tolist())
        print(json.dumps({"width": width, "nanoseconds": times, "found": found}), flush=True)
    return 0


def resident_bytes() -> int:
    """Returns what of this process lies in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
