"""One vector set on disk: the arrays, and the description that says they are complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .exact import exact_neighbours
from .source import sha256
from .vector_files import Ids, Vectors, read_ivecs, write_ivecs, write_npy

Metric = Literal["cosine", "l2"]
TRUTH = 100
"""Exact neighbours kept for each query."""


@dataclass(frozen=True)
class VectorSet:
    """A complete set: a folder with its arrays and `set.json`."""

    folder: Path
    name: str
    title: str
    metric: Metric
    rows: int
    dims: int
    queries: int

    @classmethod
    def open(cls, folder: Path) -> VectorSet:
        """Reads `set.json`. Raises `FileNotFoundError` where the set is not complete."""
        told = json.loads((folder / "set.json").read_text())
        return cls(folder, told["name"], told["title"], told["metric"], told["base_rows"],
                   told["dims"], told["query_rows"])  # fmt: skip

    @property
    def base_path(self) -> Path:
        """Path of the f32 vectors to index."""
        return self.folder / "base.npy"

    @property
    def queries_path(self) -> Path:
        """Path of the f32 queries."""
        return self.folder / "queries.npy"

    @property
    def truth_path(self) -> Path:
        """Path of the exact neighbours."""
        return self.folder / "truth.ivecs"

    def base(self) -> Vectors:
        """Maps what is indexed, [rows, dims]."""
        return np.load(self.base_path, mmap_mode="r")

    def query_rows(self) -> Vectors:
        """Reads the queries, [queries, dims]."""
        return np.load(self.queries_path)

    def truth(self) -> Ids:
        """Reads the exact neighbours, [queries, 100], best first."""
        return read_ivecs(self.truth_path)

    def part(self, folder: Path, rows: int | None, queries: int) -> VectorSet:
        """Returns the first `rows` and `queries` of this set as one of its own in `folder`.

        With every row the stored truth still holds; with fewer it is computed again.
        """
        rows = min(rows or self.rows, self.rows)
        queries = min(queries, self.queries)
        if rows == self.rows and queries == self.queries:
            return self
        folder = folder / f"{self.name}-{rows}-{queries}"
        if (folder / "set.json").is_file():
            return VectorSet.open(folder)
        folder.mkdir(parents=True, exist_ok=True)
        whole = rows == self.rows
        return write_set(
            folder,
            name=self.name,
            title=self.title,
            metric=self.metric,
            base=self.base()[:rows],
            queries=self.query_rows()[:queries],
            sources=[f"the first rows of {self.name}"],
            notes={},
            truth=self.truth()[:queries] if whole else None,
            base_path=self.base_path if whole else None,
        )


def write_set(
    folder: Path,
    *,
    name: str,
    title: str,
    metric: Metric,
    base: Vectors,
    queries: Vectors,
    sources: list[str],
    notes: dict[str, Any],
    truth: Ids | None = None,
    base_path: Path | None = None,
) -> VectorSet:
    """Writes the arrays, computing the truth where none is given, and then `set.json`.

    `base_path` names a file that holds `base` already; it is linked to instead of written again.
    """
    files = {key: folder / key for key in ("base.npy", "queries.npy", "truth.ivecs")}
    if base_path is None:
        write_npy(files["base.npy"], base)
    elif not files["base.npy"].exists():
        files["base.npy"].symlink_to(base_path)
    write_npy(files["queries.npy"], queries)
    if truth is None:
        truth = exact_neighbours(base, queries, metric, TRUTH)
    write_ivecs(files["truth.ivecs"], truth)
    told = {
        "name": name,
        "title": title,
        "metric": metric,
        "base_rows": len(base),
        "query_rows": len(queries),
        "dims": int(base.shape[1]),
        "sources": sources,
        "notes": notes,
        "sha256": {key: sha256(path) for key, path in files.items()},
    }
    part = folder / "set.json.part"
    part.write_text(json.dumps(told, indent=2) + "\n")
    part.replace(folder / "set.json")
    return VectorSet.open(folder)
