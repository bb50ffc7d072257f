"""One round of one engine under a memory limit."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sets.vector_set import VectorSet

from .bigrain import Bigrain
from .contestant import Failed
from .judge import Judge
from .page_cold import MAPPED
from .peer import current_python

TARGETS = (0.8, 0.9, 0.95, 0.98)
WIDTHS = (10, 20, 40, 80, 160, 320)


@dataclass(frozen=True)
class ColdPoint:
    """What one setting gave in one round, single queries."""

    setting: str
    recall: float
    qps: float
    p50_ms: float
    p99_ms: float
    queries: int | None
    """Queries timed, where time ran out before all were."""
    rows_read: float | None
    """Vectors read from disk for a query, where the engine counts them."""


class ColdEngine(ABC):
    """Files to drop before a round, and the round itself."""

    title: str
    folder: Path
    own_bytes = 0
    """What its process takes without an index and a search, where that is not the engine's fault."""

    @abstractmethod
    def round(self, prefix: tuple[str, ...]) -> list[ColdPoint]:
        """Runs in a new process behind `prefix`. Raises `Failed` if that process does not finish."""


class ColdBigrain(ColdEngine):
    """Codes in memory, vectors read from disk."""

    def __init__(self, prepared: Bigrain) -> None:
        self.title, self.folder, self._bigrain = prepared.title, prepared.folder, prepared

    def round(self, prefix: tuple[str, ...]) -> list[ColdPoint]:
        return [
            ColdPoint(
                f"target={point['value']}",
                point["recall_at_10"],
                point["qps_1"],
                point["p50_us"] / 1000,
                point["p99_us"] / 1000,
                None,
                point["rows_read"],
            )
            for point in self._bigrain.evaluate("target", TARGETS, prefix)["points"]
        ]


class ColdUsearch(ColdEngine):
    """An HNSW graph and its vectors, mapped and left to the page cache."""

    title = MAPPED

    def __init__(self, vectors: VectorSet, folder: Path, limit: int) -> None:
        self.folder, self._vectors, self._limit = folder, vectors, limit
        # The interpreter and its libraries count in a memory cgroup as the index does.
        self.own_bytes = int(self._worker((), "--own-memory"))

    def _worker(self, prefix: tuple[str, ...], *flags: str) -> str:
        command = [*prefix, str(current_python()), "-m", "harness.cold_worker"]
        command += ["--set", str(self._vectors.folder), "--index", str(self.folder)]
        command += ["--limit", str(self._limit), "--widths", *map(str, WIDTHS), *flags]
        here = Path(__file__).parent.parent
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"its process ended with {done.returncode}")
        return done.stdout

    def round(self, prefix: tuple[str, ...]) -> list[ColdPoint]:
        told = self._worker(prefix)
        judge = Judge(
            self._vectors.base(),
            self._vectors.query_rows(),
            self._vectors.truth(),
            self._vectors.metric,
            self._limit,
        )
        return [_judged(json.loads(line), judge) for line in told.splitlines()]


def _judged(told: dict[str, list[int]], judge: Judge) -> ColdPoint:
    times = np.array(told["nanoseconds"]) / 1e6
    return ColdPoint(
        f"expansion_search={told['width']}",
        judge.recall(np.array(told["found"])),
        len(times) / times.sum() * 1000,
        float(np.percentile(times, 50)),
        float(np.percentile(times, 99)),
        len(times),
        None,
    )
