#!/usr/bin/env python3
"""Writes points through the service, by calls, and into Qdrant Edge, in turns: `make bench-service`.

Every write is a batch that counts when it is on disk: ours answers then, and a shard of Qdrant Edge is flushed
after each. Its points are made before the clock starts. Graphs and merges are not waited for. Writes
docs/benchmarks/service.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as qdrant
from harness import machine
from sets.catalog import NAMES, open_set
from sets.vector_set import VectorSet

BATCH = 500
"""Points of one write; ours has the same."""


def main() -> int:
    """Measures one set and writes the page."""
    options = parse()
    try:
        whole = open_set(options.cache, options.set)
    except FileNotFoundError:
        print(f"bench-service: error: no set {options.set} yet: make bench-data", file=sys.stderr)
        return 1
    vectors = whole.part(options.cache / "bench-peers" / "sets", options.rows, options.queries)
    ours: list[dict[str, Any]] = []
    flushed: list[float] = []
    written: list[float] = []
    for number in range(options.rounds):
        ours.append(measure_ours(options.bigrain, vectors))
        flushed.append(measure_edge(vectors, flush_each=True))
        written.append(measure_edge(vectors, flush_each=False))
        print(f"bench-service: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    page = options.out / "service.md"
    page.write_text(render(vectors, ours, flushed, written, options.command or ""))
    print(f"bench-service: {page}")
    return 0


def measure_ours(program: Path, vectors: VectorSet) -> dict[str, Any]:
    """Returns what `bigrain eval --over-service` says."""
    command = [program, "eval", "--vectors", vectors.base_path, "--queries", vectors.queries_path]
    command += ["--metric", vectors.metric, "--over-service", "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return dict(json.loads(done.stdout))


def measure_edge(vectors: VectorSet, *, flush_each: bool) -> float:
    """Returns the points a second that a shard takes, without its graph."""
    base = np.asarray(vectors.base(), np.float32)
    distance = qdrant.Distance.Euclid if vectors.metric == "l2" else qdrant.Distance.Cosine
    config = qdrant.EdgeConfig(vectors=qdrant.EdgeVectorParams(base.shape[1], distance))
    batches = []
    for start in range(0, len(base), BATCH):
        rows = enumerate(base[start : start + BATCH].tolist(), start)
        points = [qdrant.Point(i, row, None) for i, row in rows]
        batches.append(qdrant.UpdateOperation.upsert_points(points))
    with tempfile.TemporaryDirectory() as folder:
        shard = qdrant.EdgeShard.create(folder, config)
        started = time.perf_counter()
        for batch in batches:
            shard.update(batch)
            if flush_each:
                shard.flush()
        shard.flush()
        elapsed = time.perf_counter() - started
        shard.close()
    return len(base) / elapsed


def render(
    vectors: VectorSet,
    ours: list[dict[str, Any]],
    flushed: list[float],
    written: list[float],
    command: str,
) -> str:
    """Returns the page."""
    median = statistics.median
    requests = median([one["requests"]["points_per_second"] for one in ours])
    calls = median([one["calls"]["points_per_second"] for one in ours])
    rows = [
        ("bigrain, requests over gRPC on loopback, each answered when it is synced", requests),
        ("bigrain, calls of the library, the same", calls),
        ("Qdrant Edge in the process, flushed after each write", median(flushed)),
        ("Qdrant Edge in the process, flushed at the end only", median(written)),
    ]
    table = "\n".join(f"| {what} | {rate:,.0f} | {requests / rate:.2f}x |" for what, rate in rows)
    spread = ", ".join(
        f"{one['requests']['points_per_second'] / peer:.2f}x" for one, peer in zip(ours, flushed, strict=True)
    )
    latency = []
    for name, way in [("requests over gRPC", "requests"), ("calls", "calls")]:
        p50 = median([one[way]["p50_us"] for one in ours])
        p99 = median([one[way]["p99_us"] for one in ours])
        latency.append(f"| {name} | {p50:,.0f} µs | {p99:,.0f} µs |")
    overhead = median([one["overhead_p50_us"] for one in ours])
    first = ours[0]
    here = machine.describe()
    loads = ", ".join(f"{one['load']:.1f}" for one in ours if one["load"] is not None)
    return f"""# What the service costs

Question: how many points a second does the service take, and what does a request add to a search?

This page is written by `benches/peers/service.py`. Server and client are one process that talks to itself over a port
of loopback; writes are {BATCH} points each, {first["in_flight"]} on their way at a time. Qdrant Edge writes one batch after the
other, as it has one writer; its points are made before the clock starts, and its graph is not built. The figures are medians of
{len(ours)} rounds in turns.

{vectors.rows:,} vectors of {vectors.dims} dimensions of {vectors.name}. {datetime.date.today()}, {here["cpu"]} ({", ".join(here["isa"])}), {here["cores"]} cores; load average after
each round {loads}.

```bash
{command}
```

| writes | points a second | requests over gRPC beside it |
| --- | ---: | ---: |
{table}

Round by round, requests beside Qdrant Edge flushed after each write: {spread}.

| searches, {first["limit"]} results | p50 | p99 |
| --- | ---: | ---: |
{chr(10).join(latency)}

A request adds {overhead:,.0f} µs to a search, half of the time.
"""


def parse() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program to measure")
    parser.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    parser.add_argument("--set", choices=NAMES, default="sentences")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000, help="write only the first rows of the set")
    parser.add_argument("--queries", type=int, default=500, help="ask the first queries")
    parser.add_argument("--command", help="the command to name in the page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
