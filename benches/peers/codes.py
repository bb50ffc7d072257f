#!/usr/bin/env python3
"""Compares codes alone, flat, with FAISS's RaBitQ of as many bits on the same set: `make bench-codes`."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

import faiss

from engines.engine import Vectors
from harness import machine, page
from harness.bigrain import evaluate
from harness.contestant import Failed
from harness.judge import Judge
from harness.worker import scaled
from sets.catalog import NAMES, open_set
from sets.vector_set import VectorSet

LEVELS = (1, 2, 3, 4)
LIMIT = 10
CANDIDATES = {1: 100, 2: 50}
"""Candidates that are verified at most, by level, where verification is measured too."""
TARGETS = (0.95, 0.99, 0.995, 1.0)
SEEDS = (1, 2, 3)


def main() -> int:
    """Measures the sets that were asked for and adds them to the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="the cache folder of bigrain")
    parser.add_argument("--bigrain", type=Path, required=True, help="the program to compare")
    parser.add_argument("--out", type=Path, required=True, help="docs/benchmarks")
    parser.add_argument("--set", choices=[*NAMES, "all"], default="all")
    parser.add_argument("--rows", type=int, help="index only the first rows of the set")
    parser.add_argument("--queries", type=int, default=1_000, help="ask the first queries")
    parser.add_argument("--command", default="make bench-codes", help="the command to name")
    options = parser.parse_args()
    for name in NAMES if options.set == "all" else [options.set]:
        try:
            whole = open_set(options.cache, name)
        except FileNotFoundError:
            print(f"bench-codes: error: no set {name} yet: make bench-data", file=sys.stderr)
            return 1
        vectors = whole.part(options.cache / "bench-peers" / "sets", options.rows, options.queries)
        measure(vectors, options)
    page.write(options.out)
    return 0


def measure(vectors: VectorSet, options: argparse.Namespace) -> None:
    """Writes the figures of one set."""
    base, raw = scaled(vectors.base(), vectors), vectors.query_rows()
    queries = scaled(raw, vectors)
    judge = Judge(vectors.base(), raw, vectors.truth(), vectors.metric, LIMIT)
    levels = []
    for bits in LEVELS:
        theirs = [rabitq(base, queries, vectors.metric, bits, seed, judge) for seed in SEEDS]
        told = {"levels": bits, "ours": ours(vectors, bits, options), "faiss": theirs}
        if bits in CANDIDATES:
            told["verified"] = verified(vectors, bits, CANDIDATES[bits], options)
        levels.append(told)
        print(f"bench-codes: {vectors.name}: {levels[-1]}", file=sys.stderr, flush=True)
    told = {
        "set": vectors.name,
        "rows": vectors.rows,
        "dims": vectors.dims,
        "metric": vectors.metric,
        "seeds": len(SEEDS),
        "levels": levels,
        "date": datetime.date.today().isoformat(),
        "cpu": machine.describe()["cpu"],
        "command": options.command,
    }
    path = options.out / "peers" / f"codes-{vectors.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")


def rabitq(base: Vectors, queries: Vectors, metric: str, bits: int, seed: int, judge: Judge) -> float:
    """Returns the recall of FAISS's flat RaBitQ behind a random rotation; queries stay in f32."""
    dims = base.shape[1]
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    rotation = faiss.RandomRotationMatrix(dims, dims)
    rotation.init(seed)
    flat = faiss.IndexRaBitQ(dims, kind, bits)
    index = faiss.IndexPreTransform(rotation, flat)
    index.train(base)
    index.add(base)
    _, rows = index.search(queries, LIMIT)
    return judge.recall(rows)


def ours(vectors: VectorSet, bits: int, options: argparse.Namespace) -> float | None:
    """Returns the recall of our codes, with a single list so that every code is scored."""
    points = flat(vectors, bits, ["--sweep", "probes=1", "--codes-only"], options)
    if points is None:
        return None
    [point] = points
    if point["rows_read"] > 0:
        print("bench-codes: ours was not measured: it read vectors all the same", file=sys.stderr)
        return None
    recall: float = point["recall_at_10"]
    return recall


def verified(
    vectors: VectorSet, bits: int, candidates: int, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Returns recall and rows read where the best candidates of all codes are verified, by target."""
    sweep = f"target={','.join(map(str, TARGETS))}"
    flags = ["--sweep", sweep, "--oversampling", str(candidates / LIMIT)]
    points = flat(vectors, bits, flags, options) or []
    return [
        {
            "target": target,
            "candidates": candidates,
            "recall": point["recall_at_10"],
            "rows_read": point["rows_read"],
        }
        for target, point in zip(TARGETS, points, strict=False)
    ]


def flat(
    vectors: VectorSet, bits: int, flags: list[str], options: argparse.Namespace
) -> list[dict[str, float]] | None:
    """Runs our evaluation on an index of a single list; nothing, and the reason told, where it fails."""
    flags = [*flags, "--levels", str(bits), "--lists", "1", "--limit", str(LIMIT), "--rounds", "1"]
    try:
        points: list[dict[str, float]] = evaluate(options.bigrain, vectors, flags)["points"]
    except Failed as error:
        print(f"bench-codes: ours was not measured: {error}", file=sys.stderr)
        return None
    return points


if __name__ == "__main__":
    sys.exit(main())
