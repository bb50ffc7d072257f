#!/usr/bin/env python3
"""Searches data ten times as large as the memory allowed: `make bench-cold`.

bigrain against an HNSW graph that is only mapped (usearch's `view`), each in a memory cgroup of its own
where the system permits one. Otherwise files are only dropped from the page cache before each round,
and the page says so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness import machine, page, page_cache
from harness.bigrain import Bigrain, Variant
from harness.cold_run import ColdBigrain, ColdEngine, ColdPoint, ColdUsearch
from harness.contestant import Failed
from harness.memory_group import MemoryGroup
from harness.peer import Peer, Pythons, current_python
from sets.catalog import NAMES, open_set
from sets.vector_set import VectorSet

LIMIT = 10


@dataclass
class Trial:
    """An engine and what its rounds gave."""

    engine: ColdEngine
    rounds: list[list[ColdPoint]] = field(default_factory=list)
    peak_bytes: int | None = None
    limited: bool = False
    failure: str | None = None


def main() -> int:
    """Measures one set and adds it to the page."""
    options = parse()
    try:
        whole = open_set(options.cache, options.set)
    except FileNotFoundError:
        print(f"bench-cold: error: no set {options.set} yet: make bench-data", file=sys.stderr)
        return 1
    vectors = whole.part(options.cache / "bench-peers" / "sets", options.rows, options.queries)
    limit = options.memory_mib * 2**20 if options.memory_mib else data_bytes(vectors) // 10
    trials = [Trial(engine) for engine in prepare(vectors, options)]
    for number in range(options.rounds):
        for trial in trials:
            if trial.failure is None:
                attempt(trial, limit)
        print(f"bench-cold: round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    path = options.out / "peers" / f"cold-{vectors.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(describe(vectors, limit, trials, options), indent=1) + "\n")
    page.write(options.out)
    return 0


def prepare(vectors: VectorSet, options: argparse.Namespace) -> list[ColdEngine]:
    """Builds the indexes or finds them."""
    folder = options.cache / "bench-peers" / f"{vectors.name}-{vectors.rows}"
    made: list[ColdEngine] = []
    for levels in (1, 2):
        ours = Bigrain(Variant(levels, options.dense), vectors, folder, options.bigrain, LIMIT)
        try:
            ours.prepare()
            made.append(ColdBigrain(ours))
        except Failed as error:
            print(f"bench-cold: leaving out {ours.name}: {error}", file=sys.stderr)
    usearch = Peer("usearch", vectors, folder, Pythons(current_python(), None), LIMIT)
    return [*made, ColdUsearch(vectors, usearch.build(), LIMIT)]


def attempt(trial: Trial, limit: int) -> None:
    """Runs one round behind the limit, from a cold page cache."""
    page_cache.drop(trial.engine.folder)
    limit += trial.engine.own_bytes
    group = MemoryGroup.create(f"bigrain-cold-{os.getpid()}", limit)
    trial.limited = group is not None
    try:
        trial.rounds.append(trial.engine.round(group.prefix if group else ()))
    except Failed as error:
        killed = group is not None and group.kills() > 0
        trial.failure = "killed: out of memory" if killed else str(error)
    finally:
        if group is not None:
            trial.peak_bytes = max(trial.peak_bytes or 0, group.peak_bytes() or 0)
            group.remove()


def describe(
    vectors: VectorSet, limit: int, trials: list[Trial], options: argparse.Namespace
) -> dict[str, Any]:
    """Returns what the page needs."""
    mib = limit / 2**20
    limited = all(trial.limited for trial in trials)
    given = ", ".join(
        f"{trial.engine.title} gets {trial.engine.own_bytes / 2**20:,.0f} MiB more for Python"
        for trial in trials
        if trial.engine.own_bytes
    )
    limit_text = (
        f"Each process lives in a memory cgroup of {mib:,.0f} MiB, page cache included; {given}."
        if limited
        else "No memory cgroup was permitted here, so memory was not limited."
    )
    return {
        "set": vectors.name,
        "rows": vectors.rows,
        "dims": vectors.dims,
        "metric": vectors.metric,
        "queries": vectors.queries,
        "data_mib": data_bytes(vectors) / 2**20,
        "limit_text": limit_text,
        "rounds": options.rounds,
        "date": datetime.date.today().isoformat(),
        "cpu": machine.describe()["cpu"],
        "disk": page_cache.device(options.cache),
        "load": os.getloadavg()[0],
        "command": options.command,
        "runs": [row for trial in trials for row in summary(trial)],
    }


def summary(trial: Trial) -> list[dict[str, Any]]:
    """Returns a row for each setting: medians over the rounds."""
    peak = "" if not trial.peak_bytes else f", at most {trial.peak_bytes / 2**20:.0f} MiB"
    title = trial.engine.title
    if trial.failure is not None or not trial.rounds:
        nothing = asdict(ColdPoint("", 0, 0, 0, 0, None, None))
        blank: dict[str, Any] = {**dict.fromkeys(nothing), "setting": ""}
        return [{"title": title, **blank, "outcome": f"{trial.failure}{peak}"}]
    rows = []
    for points in zip(*trial.rounds, strict=True):
        row: dict[str, Any] = {"title": title, "setting": points[0].setting}
        for key in ("recall", "qps", "p50_ms", "p99_ms", "queries", "rows_read"):
            values = [value for point in points if (value := getattr(point, key)) is not None]
            row[key] = statistics.median(values) if values else None
        rows.append({**row, "outcome": f"finished{peak}"})
    return rows


def data_bytes(vectors: VectorSet) -> int:
    """Returns the size of the f32 rows."""
    return 4 * vectors.rows * vectors.dims


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program to compare")
    parser.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    parser.add_argument("--set", choices=NAMES, default="sentences")
    parser.add_argument("--dense", default="f32", help="how ours stores vectors on disk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="index only the first rows of the set")
    parser.add_argument("--queries", type=int, default=500, help="ask the first queries")
    parser.add_argument("--memory-mib", type=int, help="the limit [default: a tenth of the rows]")
    parser.add_argument("--command", default="make bench-cold", help="the command to name")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
