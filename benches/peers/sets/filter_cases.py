"""Filters on a vector set: numbers that rows carry, ranges of them, who asks, and what is true.

Every row carries two numbers. `u` is its place in a random order and has nothing to do with its vector.
`c` is its place along the direction in which the vectors vary most. A range from 0 keeps exactly as many
rows as is wanted. Three kinds of cases, nine shares each:

- `random`: a range of `u`; every query asks;
- `near`: a range of `c`; the tenth of the queries that lie lowest in that direction ask, so what matches
  is near them (correlated);
- `far`: the same range; the tenth that lie highest ask, so what matches is far from them (anti-correlated).

The folder holds `cases.json` in the layout that `bigrain eval --filter-cases` reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .exact import exact_neighbours
from .source import sha256
from .vector_files import Ids, Vectors, read_ivecs, write_ivecs, write_npy
from .vector_set import VectorSet

SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Shares of rows that match: those of VectorDBBench."""
KINDS = ("random", "near", "far")
FIELDS = ("u", "c")
SEED = 20_260_004


@dataclass(frozen=True)
class FilterCase:
    """One filter, `field` below `end`, and who asks with it."""

    kind: str
    share: float
    matching: int
    field: str
    end: int
    queries: npt.NDArray[np.intp]
    truth_path: Path

    def truth(self) -> Ids:
        """Reads the nearest rows that match, [queries of the case, limit or all that match]."""
        return read_ivecs(self.truth_path)


@dataclass(frozen=True)
class FilterCases:
    """All cases of one set."""

    folder: Path
    numbers: dict[str, npt.NDArray[np.int64]]
    cases: list[FilterCase]

    @property
    def path(self) -> Path:
        """Path of the file that describes them."""
        return self.folder / "cases.json"

    @property
    def sha256(self) -> str:
        """Returns a hash of the numbers that rows carry."""
        return sha256(self.folder / "numbers.npy")

    @classmethod
    def open(cls, folder: Path) -> FilterCases:
        """Reads the folder. Raises `FileNotFoundError` where it is not complete."""
        told = json.loads((folder / "cases.json").read_text())
        columns = np.load(folder / told["numbers"]).astype(np.int64).T
        cases = [
            FilterCase(
                kind=line["kind"],
                share=line["share"],
                matching=line["matching"],
                field=line["filter"]["field"],
                end=line["filter"]["lt"],
                queries=np.array(line["queries"], np.intp),
                truth_path=folder / line["truth"],
            )
            for line in told["cases"]
        ]
        return cls(folder, dict(zip(told["fields"], columns, strict=True)), cases)


def prepare(vectors: VectorSet, folder: Path, limit: int) -> FilterCases:
    """Opens the cases of a set, making them first where they are not there or not complete."""
    folder = folder / f"{vectors.name}-{vectors.rows}-{vectors.queries}-{limit}"
    if not (folder / "cases.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(vectors, folder, limit)
    return FilterCases.open(folder)


def _write(vectors: VectorSet, folder: Path, limit: int) -> None:
    base, queries = vectors.base(), vectors.query_rows()
    direction = main_direction(_directions(base, vectors))
    places = _directions(queries, vectors) @ direction
    numbers = {
        "u": np.random.default_rng(SEED).permutation(len(base)),
        "c": _ranks(_directions(base, vectors) @ direction),
    }
    # Every whole number below 2^24 is an f32.
    write_npy(folder / "numbers.npy", np.stack([numbers[field] for field in FIELDS], axis=1))
    order, tenth = np.argsort(places, kind="stable"), max(1, len(queries) // 10)
    asking = {"random": np.arange(len(queries)), "near": order[:tenth], "far": order[-tenth:]}
    cases = []
    for kind in KINDS:
        field = "u" if kind == "random" else "c"
        asks = np.sort(asking[kind])
        for share in SHARES:
            end = max(1, round(share * len(base)))
            truth = f"{kind}-{share}.ivecs"
            write_ivecs(folder / truth, _nearest(vectors, numbers[field] < end, queries[asks], limit))
            cases.append(_line(kind, share, field, end, asks, truth))
    told = {"numbers": "numbers.npy", "fields": FIELDS, "cases": cases}
    part = folder / "cases.json.part"
    part.write_text(json.dumps(told) + "\n")
    part.replace(folder / "cases.json")


def _line(
    kind: str, share: float, field: str, end: int, asks: npt.NDArray[np.intp], truth: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "share": share,
        "matching": end,
        "filter": {"field": field, "lt": end},
        "queries": asks.tolist(),
        "truth": truth,
    }


def _nearest(vectors: VectorSet, matches: npt.NDArray[np.bool_], queries: Vectors, limit: int) -> Ids:
    """Returns the numbers of the nearest rows that match."""
    rows = np.flatnonzero(matches)
    found = exact_neighbours(np.asarray(vectors.base()[rows]), queries, vectors.metric, limit)
    return rows[found].astype(np.int32)


def _directions(rows: Vectors, vectors: VectorSet) -> Vectors:
    """Returns the rows as the metric sees them: of length 1 where only directions count."""
    rows = np.asarray(rows, np.float32)
    if vectors.metric == "cosine":
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
    return rows


def main_direction(rows: Vectors) -> npt.NDArray[np.float64]:
    """Returns the direction of length 1 in which the rows vary most; its largest component is positive."""
    centred = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64)
    direction: npt.NDArray[np.float64] = np.linalg.eigh(covariance)[1][:, -1]
    return direction * np.sign(direction[np.abs(direction).argmax()])


def _ranks(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.intp]:
    ranks = np.empty(len(values), np.intp)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks
