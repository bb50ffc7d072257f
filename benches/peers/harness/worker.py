"""One engine in a process of its own, speaking JSON lines: `python -m harness.worker`.

`build` makes the index unless the same one is there, and writes `built.json` last. `serve` opens it,
says what it holds, and then answers each line `{"knob": {...}}` with `{"recall", "qps", "cpu_share",
"rss_bytes"}` until its input ends. With `--cases`, `case` in the knob is the number of the filter case that
is searched.

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
from engines.filtered import FilteredEngine
from harness.judge import Judge
from sets.filter_cases import FilterCase, FilterCases
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
    parser.add_argument("--cases", type=Path, help="the folder of filter cases")
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    vectors = VectorSet.open(options.set)
    try:
        engine = make(options.engine, Space(vectors.rows, vectors.dims, vectors.metric))
    except Unavailable as error:
        _say(out, {"unavailable": str(error)})
        return 0
    cases = FilterCases.open(options.cases) if options.cases else None
    if isinstance(engine, FilteredEngine) and cases is not None:
        engine.carry(cases.numbers)
    if options.action == "build":
        _say(out, build(engine, vectors, options.index, cases))
    else:
        serve(engine, vectors, options, cases, out)
    return 0


def build(engine: Engine, vectors: VectorSet, folder: Path, cases: FilterCases | None) -> dict[str, Any]:
    """Builds into `folder`, or returns what is known of the same index that lies there."""
    identity = {
        "title": engine.title,
        "version": importlib.metadata.version(engine.package),
        "base": json.loads((vectors.folder / "set.json").read_text())["sha256"]["base.npy"],
    }
    if cases is not None:
        identity["numbers"] = cases.sha256
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


def serve(
    engine: Engine,
    vectors: VectorSet,
    options: argparse.Namespace,
    cases: FilterCases | None,
    out: TextIO,
) -> None:
    """Opens the index and answers until the input ends."""
    raw = vectors.query_rows()
    before = rss_bytes()
    engine.open(options.index)
    memory = engine.memory()
    asked = Asked(engine, vectors, raw, options.limit)
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
        if cases is not None:
            asked.choose(cases, int(knob.pop("case")))
        point = measure(engine, asked.queries, options.limit, knob, asked.judge)
        _say(out, {**point, "rss_bytes": rss_bytes() - before})


class Asked:
    """What is searched for: every query, or those of one filter case."""

    def __init__(self, engine: Engine, vectors: VectorSet, raw: Vectors, limit: int) -> None:
        self._engine, self._vectors, self._limit = engine, vectors, limit
        self._base, self._raw, self._scaled = vectors.base(), raw, scaled(raw, vectors)
        self._chosen: FilterCase | None = None
        self.queries = self._scaled
        self.judge = Judge(self._base, raw, vectors.truth(), vectors.metric, limit)

    def choose(self, cases: FilterCases, number: int) -> None:
        """Turns to a case, unless it is the one that was chosen."""
        case = cases.cases[number]
        if case is self._chosen or not isinstance(self._engine, FilteredEngine):
            return
        self._engine.choose(case.field, case.end)
        self._chosen, self.queries = case, self._scaled[case.queries]
        queries, metric = self._raw[case.queries], self._vectors.metric
        self.judge = Judge(self._base, queries, case.truth(), metric, self._limit)


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
