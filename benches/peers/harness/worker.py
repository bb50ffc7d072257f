"""One engine in a process of its own, speaking JSON lines: `python -m harness.worker`.

`build` makes the index unless the same one is there, and writes `built.json` last. `serve` opens it,
says what it holds, and then answers each line `{"knob": {...}}` with `{"recall", "qps", "cpu_share",
"rss_bytes"}` until its input ends.

Libraries print to standard output, so the protocol keeps the real one for itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from engines.catalog import make
from engines.engine import Engine, Knob, Space, Unavailable, Vectors
from harness.judge import Judge
from sets.vector_set import VectorSet

WARM_UP = 64
"""Queries searched before the clock starts."""
MIN_SECONDS = 0.3
"""Batches are repeated until they took this long."""


def main() -> int:
    """Serves one engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["build", "serve"])
    parser.add_argument("--engine", required=True)
    parser.add_argument("--set", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10)
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    vectors = VectorSet.open(options.set)
    try:
        engine = make(options.engine, Space(vectors.rows, vectors.dims, vectors.metric))
    except Unavailable as error:
        _say(out, {"unavailable": str(error)})
        return 0
    if options.action == "build":
        _say(out, build(engine, vectors, options.index))
    else:
        serve(engine, vectors, options, out)
    return 0


def build(engine: Engine, vectors: VectorSet, folder: Path) -> dict[str, Any]:
    """Builds into `folder`, or returns what is known of the same index that lies there."""
    identity = {
        "title": engine.title,
        "version": importlib.metadata.version(engine.package),
        "base": json.loads((vectors.folder / "set.json").read_text())["sha256"]["base.npy"],
    }
    note = folder / "built.json"
    if note.is_file() and (told := json.loads(note.read_text()))["identity"] == identity:
        return {**told, "reused": True}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = scaled(vectors.base(), vectors)
    load = os.getloadavg()[0]
    wall, cpu = time.perf_counter(), time.process_time()
    engine.build(base, folder)
    told = {
        "identity": identity,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "load_before": load,
        "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    note.write_text(json.dumps(told, indent=2) + "\n")
    return {**told, "reused": False}


def serve(engine: Engine, vectors: VectorSet, options: argparse.Namespace, out: TextIO) -> None:
    """Opens the index and answers until the input ends."""
    raw = vectors.query_rows()
    judge = Judge(vectors.base(), raw, vectors.truth(), vectors.metric, options.limit)
    queries = scaled(raw, vectors)
    before = rss_bytes()
    engine.open(options.index)
    memory = engine.memory()
    _say(out, {
        "title": engine.title,
        "how": engine.how,
        "package": engine.package,
        "version": importlib.metadata.version(engine.package),
        "memory_bytes": memory.total,
        "row_bytes": memory.rows,
        "series": engine.series(),
    })  # fmt: skip
    for line in sys.stdin:
        knob: Knob = json.loads(line)["knob"]
        point = measure(engine, queries, options.limit, knob, judge)
        _say(out, {**point, "rss_bytes": rss_bytes() - before})


def measure(engine: Engine, queries: Vectors, limit: int, knob: Knob, judge: Judge) -> dict[str, float]:
    """Searches every query, at least once, and returns queries a second and their recall."""
    engine.search(queries[:WARM_UP], limit, knob)
    searched = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - wall) < MIN_SECONDS or not searched:
        found = engine.search(queries, limit, knob)
        searched += len(queries)
    cpu = time.process_time() - cpu
    return {"recall": judge.recall(found), "qps": searched / elapsed, "cpu_share": cpu / elapsed}


def scaled(rows: Vectors, vectors: VectorSet) -> Vectors:
    """Returns a copy of the rows in memory, of length 1 where the metric is cosine."""
    rows = np.array(rows, np.float32, order="C")
    if vectors.metric == "cosine":
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
    return rows


def rss_bytes() -> int:
    """Returns the memory of this process that is resident, maps included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _say(out: TextIO, message: dict[str, Any]) -> None:
    print(json.dumps(message), file=out, flush=True)


if __name__ == "__main__":
    sys.exit(main())
